"""A new client secret without a moment in which an application cannot be told or cannot verify."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.errors import Conflict
from chalicelib.ids import base36
from chalicelib.store.ports.accounts import Applications
from chalicelib.store.values import Stale

_LENGTH = 40


def rotate(
    applications: Applications, application_id: str, newest: str, overlap: int, now: int
) -> tuple[str, int]:
    """Return a new secret and until when (Unix seconds) the newest so far is valid too.

    With an overlap of 0 seconds only the new one is valid, at once. Raises Conflict while an earlier
    overlap lasts: a third secret would cut off receivers that still have the first; and if `newest` has
    been replaced meanwhile: an older secret must not oust whoever holds the newer one.
    """
    if overlap and len(applications.secrets(application_id, now)) > 1:
        raise Conflict(
            "The previous secret is still valid. Wait until it expires, end it by DELETE previous_secret, or"
            " send overlap_seconds 0."
        )
    secret = base36(secrets.randbits(208), _LENGTH)
    with _unless_overtaken():
        applications.rotate(application_id, newest, secret, now + overlap)
    return secret, now + overlap


def end_overlap(applications: Applications, application_id: str, newest: str) -> None:
    """Have the secret before the newest be valid no longer. Raises Conflict as `rotate` does."""
    with _unless_overtaken():
        applications.end_overlap(application_id, newest)


@contextmanager
def _unless_overtaken() -> Iterator[None]:
    try:
        yield
    except Stale as error:
        raise Conflict("This client secret has just been replaced.") from error
