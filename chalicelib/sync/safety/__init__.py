"""What one bad message, folder or answer may not break."""
