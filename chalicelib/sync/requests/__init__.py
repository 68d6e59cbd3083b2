"""What a request of the API wants of the mail server: edits, searches, contents."""
