"""Where it is kept: the only package that speaks to AWS."""
