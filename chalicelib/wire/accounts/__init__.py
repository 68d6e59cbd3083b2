"""JSON of accounts, and of what is asked of them."""
