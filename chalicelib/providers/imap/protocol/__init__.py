"""One IMAP connection: bytes, lines, commands, what a server can do."""
