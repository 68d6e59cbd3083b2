"""Lambda in the local runtime: queues, streams and schedules call the functions of app.py."""
