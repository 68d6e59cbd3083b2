"""Clients of AWS, and the services that are no table."""
