"""The change log over HTTP."""
