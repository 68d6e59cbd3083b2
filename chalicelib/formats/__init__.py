"""Bytes to and from the domain: MIME, HTML."""
