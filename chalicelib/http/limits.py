"""How many requests that take long may be under way at once: longpolls, streams, logins at mail servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from chalice.app import Request

from chalicelib import bounds
from chalicelib.domain.accounts.account import Account
from chalicelib.errors import TooMany
from chalicelib.http.quotas import source_of
from chalicelib.services import services

_SLACK_SECONDS = 30
_AGAIN_SECONDS = 10
"""When a client may ask again; a slot may become free at any moment."""

_ALL = "waiting"
_CONNECT_SECONDS = 60
"""How long a login can be under way at most; an API Gateway request ends after 29 s."""


@contextmanager
def waiting(kind: str, account: Account, seconds: float) -> Iterator[None]:
    """Count as one waiting request of a kind for up to so many seconds. Raises TooMany.

    Longpolls and streams count together, but for an account. An application may hold as many as are left free
    for all others, so each newcomer finds a place, however many others wait.
    """
    settings = services().settings
    left = settings.waiting_requests - services().slots.taken(_ALL)
    share = max(1, min(settings.application_requests, left))
    with ExitStack() as stack:
        for name, most, whose in (
            (f"{kind}#{account.id}", bounds.WAITING_PER_ACCOUNT, "this account on this endpoint"),
            (f"{_ALL}#{account.application_id}", share, "this application that wait for deltas"),
            (_ALL, settings.waiting_requests, "all applications that wait for deltas"),
        ):
            _take(stack, name, most, seconds + _SLACK_SECONDS, whose)
        yield


@contextmanager
def connecting(request: Request, *, trusted: bool) -> Iterator[None]:
    """Count as one login under way, so that mail servers that drip cannot hold the API. Raises TooMany."""
    most = services().settings.connects
    with ExitStack() as stack:
        if trusted:
            _take(stack, "connect-trusted", most, _CONNECT_SECONDS, "all applications that connect")
        else:
            _take_for(stack, source_of(request), most)
        yield


def _take_for(stack: ExitStack, source: str, most: int) -> None:
    """Take a place for a source. Two thirds of them are for sources that hold none, however others hurry."""
    further = most // 3
    first = services().slots.take(f"connect-first#{source}", 1, _CONNECT_SECONDS)
    if first:
        stack.callback(services().slots.give_back, first)
        _take(stack, "connect", most - further, _CONNECT_SECONDS, "all addresses that connect")
        return
    of_source = bounds.CONNECTS_AT_ONCE_PER_SOURCE - 1
    _take(stack, f"connect#{source}", of_source, _CONNECT_SECONDS, "this address that connect besides one")
    _take(stack, "connect-further", further, _CONNECT_SECONDS, "addresses that connect besides one each")


def _take(stack: ExitStack, name: str, limit: int, seconds: float, whose: str) -> None:
    slots = services().slots
    slot = slots.take(name, limit, seconds)
    if slot is None:
        raise TooMany(f"Too many requests of {whose}: at most {limit} at once.", limit, _AGAIN_SECONDS)
    stack.callback(slots.give_back, slot)
