"""Messages, threads, folders, files, search, sending."""
