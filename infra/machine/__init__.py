"""What this machine offers the local runtime: processes that end together, locks, ports, a home."""
