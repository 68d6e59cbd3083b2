"""End users' mailboxes, whose they are, and the applications that own them."""
