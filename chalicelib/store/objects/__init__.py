"""Tables `mail` and `body`: what the API shows."""
