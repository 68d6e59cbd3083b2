"""JSON of the v2 API to and from the domain, one module per noun."""
