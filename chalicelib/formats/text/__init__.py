"""Bytes to text, text to HTML, and back."""
