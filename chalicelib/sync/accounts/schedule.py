"""When accounts are polled: the busier one was lately, the more often, and never all in one second.

Each account has its own second within its interval. A tick answers for a window of seconds that begins
where the one before it ended, so a tick that comes late, twice or not at all leaves no account out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from math import ceil
from zlib import crc32

from chalicelib.store.values import Poll

_MINUTE, _HOUR, _DAY, _WEEK = 60, 3_600, 86_400, 604_800
_FORESEEN = 900  # seconds that a tick may have looked ahead
_FILLED = 0.8  # of a host's seconds, so that an account finds one near its own

REPAIR_DELAY = 900
"""Seconds until a comparison that was asked for is made; a queue holds a message back no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickSpan:
    """The seconds a tick at `now` answers for: after < second <= until."""

    after: int
    until: int
    now: int

    def first(self, phase: int, seconds: int) -> int | None:
        """Return the first second that is `phase` modulo `seconds`, None if there is none."""
        found = self.after + 1 + (phase - self.after - 1) % seconds
        return found if found <= self.until else None


def window(covered: int, now: float, reach: int) -> TickSpan:
    """Return what a tick has to answer for if those before it have come to `covered`."""
    at = int(now)
    after = covered if 0 < covered <= at + _FORESEEN else at  # else a clock was wrong
    return TickSpan(after=after, until=max(after, at + reach), now=at)


def interval(poll: Poll, now: float) -> int:
    """Return the seconds between two polls of an account."""
    quiet = now - poll.active_at
    if quiet <= _HOUR:
        return _MINUTE
    return 5 * _MINUTE if quiet <= _DAY else 15 * _MINUTE


def repairs(polls: Iterable[Poll], span: TickSpan) -> dict[str, int]:
    """Return the delay of each account whose second of the week it is: it is compared with its server."""
    seconds = {poll.account_id: span.first(_phase(poll.account_id, _WEEK), _WEEK) for poll in polls}
    return {id: max(0, second - span.now) for id, second in seconds.items() if second is not None}


def delays(intervals: Mapping[Poll, int], span: TickSpan, most: int) -> dict[str, int]:
    """Return the delay of each account to be polled, in seconds; at most so many of a host in one second.

    A host of more accounts than that allows is polled less often, all its accounts alike.
    """
    by_host: dict[str, list[Poll]] = defaultdict(list)
    for poll in intervals:
        by_host[poll.host].append(poll)
    found: dict[str, int] = {}
    for polls in by_host.values():
        found |= _of_host({poll: intervals[poll] for poll in polls}, span, most)
    return found


def _of_host(intervals: Mapping[Poll, int], span: TickSpan, most: int) -> dict[str, int]:
    stretch = max(1, ceil(sum(1 / seconds for seconds in intervals.values()) / (most * _FILLED)))
    taken: dict[int, int] = defaultdict(int)
    found: dict[str, int] = {}
    for poll, seconds in intervals.items():
        own = span.first(_phase(poll.account_id, seconds * stretch), seconds * stretch)
        if own is not None:
            second = _free(taken, max(own, span.now), span, most)
            taken[second] += 1
            found[poll.account_id] = second - span.now
    return found


def _free(taken: dict[int, int], own: int, span: TickSpan, most: int) -> int:
    """Return the next second with room: later in the window, else earlier, else behind it."""
    last = max(own, span.until)
    for second in chain(range(own, last + 1), range(own - 1, max(span.after, span.now), -1)):
        if taken[second] < most:
            return second
    while taken[last] >= most:
        last += 1
    return last


def _phase(account_id: str, seconds: int) -> int:
    return crc32(account_id.encode()) % seconds
