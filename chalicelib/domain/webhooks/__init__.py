"""Endpoints, what is delivered to them, and how they answer."""
