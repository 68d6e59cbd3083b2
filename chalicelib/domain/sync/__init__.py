"""How far syncing has come, what it may take, and what it has set aside."""
