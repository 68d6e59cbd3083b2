"""Why the local runtime cannot start."""


class CannotStart(Exception):
    """One sentence that a person can act on."""
