"""Gmail's labels, ids and search, over plain IMAP."""
