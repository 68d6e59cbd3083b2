"""How many live syncs of one application, and at one mail server, may hold workers for long.

A mail server that drips holds a worker for as long as it likes. Syncs that are over soon are not counted, so
a quiet poll writes nothing. One that lasts enters itself; when half of what an application or a server may
have is entered, it counts as crowded for a while, and each of its syncs needs a place from the start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from chalicelib.clock import Clock
from chalicelib.domain.accounts.account import Account
from chalicelib.store.ports.sync import Places
from chalicelib.store.values import Place

LONG_SECONDS = 3.0
"""A sync that has lasted so long is entered."""

CROWDED_SECONDS = 300
"""Who was crowded counts as such for so long."""

log = logging.getLogger(__name__)

Later = Callable[[float, Callable[[], None]], Callable[[], None]]
"""Has something done after seconds, unless what is returned is called before."""


class Crowded(Exception):
    """Its application or mail server has as many syncs under way as it may: this one comes later."""


def in_a_thread(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    """Do it in a thread of its own."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer.cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What is counted with; `seconds` is the longest sync."""

    places: Places
    per_application: int
    per_server: int
    seconds: float
    now: Clock
    later: Later = in_a_thread


@contextmanager
def place(desk: Desk, account: Account) -> Iterator[None]:
    """Hold a place of the account's application and mail server while it is synced. Raises Crowded."""
    stay = _Stay(desk, _place(desk, account))
    if desk.places.slow([name for name, _ in _bounds(desk, stay.place)], desk.now()):
        stay.enter()
        if not _fits(desk, stay.place):
            stay.leave()
            raise Crowded(account.id)
    forget = desk.later(LONG_SECONDS, stay.lasts)
    try:
        yield
    finally:
        forget()
        stay.leave()


@dataclass(slots=True)
class _Stay:
    """One sync: entered at once or when it lasts, and never after its end."""

    desk: Desk
    place: Place
    _entered: bool = False
    _over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self) -> None:
        """Enter once, unless it is over."""
        with self._lock:
            if not self._entered and not self._over:
                self._entered = True
                self.desk.places.put(self.place)

    def lasts(self) -> None:
        """Enter, and note who is crowded by now."""
        try:
            self.enter()
            for name in _crowded(self.desk, self.place):
                self.desk.places.note_slow(name, int(self.desk.now()) + CROWDED_SECONDS)
        except Exception as error:  # the edge of a thread: the sync itself goes on
            log.warning("a sync that lasts could not be entered: %s", type(error).__name__)

    def leave(self) -> None:
        """End; what is entered later by a thread that comes late is not."""
        with self._lock:
            if self._entered and not self._over:
                self.desk.places.remove(self.place.account_id)
            self._over = True


def _place(desk: Desk, account: Account) -> Place:
    now = desk.now()
    return Place(
        account_id=account.id,
        application=f"application#{account.application_id}",
        server=f"server#{account.login.server if account.login else account.host}",
        since=now,
        until=int(now + desk.seconds) + 60,
    )


def _bounds(desk: Desk, place: Place) -> list[tuple[str, int]]:
    return [(place.application, desk.per_application), (place.server, desk.per_server)]


def _held(desk: Desk, place: Place) -> list[Place]:
    now = desk.now()
    return [one for one in desk.places.all() if one.until > now and one.account_id != place.account_id]


def _fits(desk: Desk, place: Place) -> bool:
    """Tell whether there is room: everybody writes first and looks then, and who was before has the right."""
    before = [
        one for one in _held(desk, place) if (one.since, one.account_id) < (place.since, place.account_id)
    ]
    return all(_count(before, name) < most for name, most in _bounds(desk, place))


def _crowded(desk: Desk, place: Place) -> list[str]:
    held = [*_held(desk, place), place]
    return [name for name, most in _bounds(desk, place) if 2 * _count(held, name) >= most]


def _count(places: list[Place], name: str) -> int:
    return sum(name in (one.application, one.server) for one in places)
