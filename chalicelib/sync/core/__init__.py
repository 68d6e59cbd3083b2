"""What every sync works with: stores, lease, cursors, progress, pace."""
