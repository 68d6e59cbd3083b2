"""Connections to other people's servers: where they may go, TLS, and when they end."""
