"""JSON of deltas, and their cursors."""
