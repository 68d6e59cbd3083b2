"""The HTTP face: one blueprint per resource."""
