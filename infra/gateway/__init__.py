"""API Gateway in the local runtime: HTTP requests become events of app.py."""
