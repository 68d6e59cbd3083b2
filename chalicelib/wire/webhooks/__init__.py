"""JSON of webhooks and their deliveries."""
