"""How an endpoint has answered lately, and whether it may be called now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

WINDOW_MINUTES = 15
TROUBLED = 5
"""Failures in a row after which only one probe a minute is sent."""

SLOTS = 4
"""Calls to one endpoint at a time; one while its last answer was no success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """Statistics of one endpoint.

    `minutes` maps a minute (Unix time / 60) to attempts and failures; `streak` counts failures since
    the last success, the first of them at `failing_since`, the last on the lane `probe`; nothing is
    sent before `open_until`; `slots` maps the numbers of calls under way to the Unix time at which
    each is given up.
    """

    minutes: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    streak: int = 0
    failing_since: int = 0
    open_until: int = 0
    probe: str = ""
    slots: Mapping[int, int] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """Whether the endpoint counts as out of order: it gets probes only."""
        return self.streak >= TROUBLED

    def resting(self, now: int) -> bool:
        """Whether nothing may be sent now."""
        return self.open_until > now

    def free_slot(self, now: int) -> int | None:
        """Return a number under which one more call may be made, None while there are enough."""
        busy = {number for number, until in self.slots.items() if until > now}
        if len(busy) >= (1 if self.streak else SLOTS):
            return None
        return next(number for number in range(SLOTS) if number not in busy)

    def recent(self, now: int) -> tuple[int, int]:
        """Return attempts and failures of the last fifteen minutes."""
        counted = [pair for minute, pair in self.minutes.items() if now // 60 - minute < WINDOW_MINUTES]
        return sum(pair[0] for pair in counted), sum(pair[1] for pair in counted)
