"""A raw mail: its parts, its body, what it says."""
