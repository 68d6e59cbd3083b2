"""What changed: from table streams to a gapless log, and back out of it."""
