"""What things are: frozen dataclasses and pure functions; standard library only."""
