"""The change log: what has happened to an object."""
