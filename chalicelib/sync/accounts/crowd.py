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
class Crowd:
    """Counts live syncs that last; `seconds` is the longest sync."""

    places: Places
    per_application: int
    per_server: int
    seconds: float
    now: Clock
    later: Later = in_a_thread

    @contextmanager
    def place(self, account: Account) -> Iterator[None]:
        """Hold a place of the account's application and mail server while it is synced. Raises Crowded."""
        stay = _Stay(self, self._place(account))
        if self.places.slow([name for name, _ in self._bounds(stay.place)], self.now()):
            stay.enter()
            if not self._fits(stay.place):
                stay.leave()
                raise Crowded(account.id)
        forget = self.later(LONG_SECONDS, stay.lasts)
        try:
            yield
        finally:
            forget()
            stay.leave()

    def _place(self, account: Account) -> Place:
        now = self.now()
        return Place(
            account_id=account.id,
            application=f"application#{account.application_id}",
            server=f"server#{account.login.server if account.login else account.host}",
            since=now,
            until=int(now + self.seconds) + 60,
        )

    def _bounds(self, place: Place) -> list[tuple[str, int]]:
        return [(place.application, self.per_application), (place.server, self.per_server)]

    def _held(self, place: Place) -> list[Place]:
        now = self.now()
        return [one for one in self.places.all() if one.until > now and one.account_id != place.account_id]

    def _fits(self, place: Place) -> bool:
        """Tell whether there is room: everybody writes, then looks, and who was before has the right."""
        before = [
            one for one in self._held(place) if (one.since, one.account_id) < (place.since, place.account_id)
        ]
        return all(_count(before, name) < most for name, most in self._bounds(place))

    def crowded(self, place: Place) -> list[str]:
        """Return which of a place's application and server have half of their room taken."""
        held = [*self._held(place), place]
        return [name for name, most in self._bounds(place) if 2 * _count(held, name) >= most]


@dataclass(slots=True)
class _Stay:
    """One sync: entered at once or when it lasts, and never after its end."""

    crowd: Crowd
    place: Place
    _entered: bool = False
    _over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self) -> None:
        """Enter once, unless it is over."""
        with self._lock:
            if not self._entered and not self._over:
                self._entered = True
                self.crowd.places.put(self.place)

    def lasts(self) -> None:
        """Enter, and note who is crowded by now."""
        try:
            self.enter()
            for name in self.crowd.crowded(self.place):
                self.crowd.places.note_slow(name, int(self.crowd.now()) + CROWDED_SECONDS)
        except Exception as error:  # the edge of a thread: the sync itself goes on
            log.warning("a sync that lasts could not be entered: %s", type(error).__name__)

    def leave(self) -> None:
        """End; what is entered later by a thread that comes late is not."""
        with self._lock:
            if self._entered and not self._over:
                self.crowd.places.remove(self.place.account_id)
            self._over = True


def _count(places: list[Place], name: str) -> int:
    return sum(name in (one.application, one.server) for one in places)
