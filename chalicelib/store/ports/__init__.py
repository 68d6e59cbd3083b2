"""The store as the use cases see it: one file per wing, and every promise stands here alone."""
