"""What several tests play on: a server, a store or an API, and what connects them."""
