"""What the owner of an application asks and does."""
