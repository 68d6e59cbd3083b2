"""LIST and SELECT: folders, their roles, and how far each is known."""
