"""A new client secret without a moment in which an application cannot be told or cannot verify."""

from __future__ import annotations

import secrets

from chalicelib.errors import Conflict
from chalicelib.ids import base36
from chalicelib.store.ports import Applications

_LENGTH = 40


def rotate(applications: Applications, application_id: str, overlap: int, now: int) -> tuple[str, int]:
    """Return a new secret and until when (Unix seconds) the one before is valid too.

    With an overlap of 0 seconds only the new one is valid, at once. Raises Conflict while an earlier
    overlap lasts: a third secret would cut off receivers that still have the first.
    """
    if overlap and len(applications.secrets(application_id, now)) > 1:
        raise Conflict(
            "The previous secret is still valid. Wait until it expires, or send overlap_seconds 0."
        )
    secret = base36(secrets.randbits(208), _LENGTH)
    applications.rotate(application_id, secret, now + overlap)
    return secret, now + overlap
