"""One turn of a backfill: how long it may last and how much it may read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chalicelib.clock import Clock, Deadline
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.sync.allowance import HISTORY_PERCENT
from chalicelib.sync.history.meter import Quota

FIRST_SECONDS, FAIR_SECONDS = 1.5, 20.0
"""A turn lasts so long unless a newcomer waits, longer while nobody does; the first is for first screens."""

LOOK_SECONDS, GLANCE_SECONDS = 15.0, 3.0
"""Between two looks for whoever waits, and for those who wait for their first screens."""

GLANCE_FACTOR = 50
"""The next look for newcomers waits so many times as long as the last one took, which may find thousands."""

FIRST_BATCH, SMALLEST_BATCH, LARGEST_BATCH = 160, 25, 400
AHEAD = 3
"""Batches of history that may be on their way to the delta log, the one just stored included."""

LAG_SECONDS = 0.5
"""What is new may wait so long behind history in the stream that leads to the delta log."""

LOG_SECONDS, LOG_PAUSE = 10.0, 0.05
COUNTED_AT_ONCE = 8_000_000
"""Bytes between two looks at the meter, each of which costs two writes."""


@dataclass
class Turn:
    """The pace of history: as much as it likes while it has its turn.

    `crowded` tells whether others wait, `makes_room` whether this turn should end for one who has just come.
    """

    account: Account
    meter: Quota
    crowded: Callable[[], bool]
    makes_room: Callable[[], bool] = lambda: False
    logged: Callable[[str], bool] = lambda id: True
    fair: float = FAIR_SECONDS
    clock: Clock = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    spent: bool = False
    _fair: Deadline = field(init=False)
    _glance: Deadline = field(init=False)
    _over: bool = False
    _received: int = 0
    _counted: int = 0
    _stored: deque[tuple[str, float]] = field(default_factory=deque)
    _batch: int = FIRST_BATCH

    def __post_init__(self) -> None:
        self._fair = Deadline.after(self.fair, self.clock)
        self._glance = Deadline.after(GLANCE_SECONDS, self.clock)

    def history(self) -> int:
        """Return how many come at once."""
        return self._batch

    def note(self, messages: int, received: int) -> None:
        """Count bytes, now and then also where others see them."""
        self._received = received
        if received - self._counted >= COUNTED_AT_ONCE:
            self._count()
            self.spent = self.meter.is_used_up(self.account, HISTORY_PERCENT)

    def stored(self, ids: Sequence[str]) -> None:
        """Wait until no more than `AHEAD` batches are still to come to the delta log, these included.

        Changes reach it through a stream that all accounts share: history that runs ahead of it would
        stand in the way of everybody's new mail. After a while it goes on all the same.
        """
        if not ids:
            return
        self._stored.append((ids[-1], self.clock()))
        if len(self._stored) > AHEAD:
            before, at = self._stored.popleft()
            self._adapt(at, waited=self._wait(before))

    def _wait(self, id: str) -> bool:
        """Tell whether the log was not there yet."""
        patience, waited = Deadline.after(LOG_SECONDS, self.clock), False
        while not patience.passed() and not self.logged(id):
            self.sleep(LOG_PAUSE)
            waited = True
        return waited

    def _adapt(self, stored_at: float, *, waited: bool) -> None:
        """Take larger steps while the log keeps up, smaller ones when it falls behind."""
        if not waited:
            self._batch = min(LARGEST_BATCH, self._batch * 3 // 2)
        elif self.clock() - stored_at > LAG_SECONDS:
            self._batch = max(SMALLEST_BATCH, self._batch * 3 // 4)

    def over(self) -> bool:
        """Tell whether the day's bytes are used up or others wait: newcomers soon, all after a fair while.

        What is over stays over.
        """
        self._over = self._over or self.spent or self._is_in_the_way()
        return self._over

    def _is_in_the_way(self) -> bool:
        if self._glance.passed() and self._glances():
            return True
        if not self._fair.passed():
            return False
        self._fair = Deadline.after(LOOK_SECONDS, self.clock)
        return self.crowded()

    def _glances(self) -> bool:
        began = self.clock()
        found = self.makes_room()
        pause = max(GLANCE_SECONDS, GLANCE_FACTOR * (self.clock() - began))
        self._glance = Deadline.after(pause, self.clock)
        return found

    def end(self) -> None:
        """Count what is left to count."""
        if self._received > self._counted:
            self._count()

    def _count(self) -> None:
        self.meter.add(self.account, self._received - self._counted)
        self._counted = self._received
