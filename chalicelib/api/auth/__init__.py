"""Connecting mailboxes."""
