"""How many requests that wait may be under way at once, per account and per application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from chalicelib.domain.account import Account
from chalicelib.errors import TooMany
from chalicelib.services import services

PER_ACCOUNT = 10
_SLACK_SECONDS = 30
_AGAIN_SECONDS = 10
"""When a client may ask again; a slot may become free at any moment."""


@contextmanager
def waiting(kind: str, account: Account, seconds: float) -> Iterator[None]:
    """Count as one waiting request of a kind for up to so many seconds. Raises TooMany."""
    most = services().settings.application_requests
    with ExitStack() as stack:
        for owner, limit, whose in (
            (account.id, PER_ACCOUNT, "this account"),
            (account.application_id, most, "this application"),
        ):
            _take(stack, f"{kind}#{owner}", limit, seconds, f"{whose} on this endpoint")
        yield


def _take(stack: ExitStack, name: str, limit: int, seconds: float, whose: str) -> None:
    slots = services().slots
    slot = slots.take(name, limit, seconds + _SLACK_SECONDS)
    if slot is None:
        raise TooMany(f"Too many requests for {whose}: at most {limit} at once.", limit, _AGAIN_SECONDS)
    stack.callback(slots.give_back, slot)
