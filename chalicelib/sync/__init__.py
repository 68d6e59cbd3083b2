"""How it stays current."""
