"""When an account is synced, how it fares, and how many may be at once."""
