"""JSON of messages, threads, folders and files."""
