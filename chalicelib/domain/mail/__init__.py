"""Messages, threads and folders, and what joins them."""
