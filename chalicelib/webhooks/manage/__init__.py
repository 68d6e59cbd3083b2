"""What an owner does to an endpoint: create, pause, replay, test, rotate."""
