"""SEARCH, and searching here where the server cannot."""
