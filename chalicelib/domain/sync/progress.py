"""How far the first walk through an account's folders has come."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.domain.mail.folder import Folder
    from chalicelib.domain.mail.retention import Retention

RECENT_SECONDS = 180
"""A rate measured longer ago says nothing about the time that is left."""

_MEMORY_SECONDS = 30.0
_APART = frozenset({"excluded", "failing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one folder has brought: messages here, messages still to come, and how fast they come.

    `rate` is in messages per second at `at` (Unix seconds).
    """

    synced: int = 0
    left: int = 0
    rate: float = 0.0
    at: float = 0.0

    def after(self, synced: int, left: int, now: float, seconds: float) -> Tally:
        """Return the tally `seconds` later; the rate follows what happened lately."""
        lately = max(0, synced - self.synced) / max(seconds, 0.001)
        weight = -math.expm1(-seconds / _MEMORY_SECONDS) if self.rate else 1.0
        rate = self.rate + weight * (lately - self.rate)
        return Tally(synced=synced, left=max(0, left), rate=round(rate, 3), at=now)

    def speed(self, now: float) -> float:
        """Return the messages per second that come now, as far as is known."""
        return self.rate if self.left and now - self.at <= RECENT_SECONDS else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The progress of one folder; a folder that has not begun has no tally, one that fails stands still."""

    folder: Folder
    days: int | None
    tally: Tally | None
    failing: bool = False

    @property
    def state(self) -> str:
        """Return excluded, failing, waiting, syncing or synced."""
        if self.days is None:
            return "excluded"
        if self.failing:
            return "failing"
        if self.tally is None:
            return "waiting"
        return "syncing" if self.tally.left else "synced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of an account as of `now`; of `parts`, its folders, those that fail do not count."""

    parts: Sequence[Part]
    now: float

    @property
    def tallies(self) -> list[Tally]:
        """The tallies of the folders that have begun."""
        return [part.tally for part in self.parts if part.tally and part.state not in _APART]

    @property
    def state(self) -> str:
        """Return waiting, syncing or synced."""
        states = {part.state for part in self.parts} - _APART
        if not self.parts or states == {"waiting"}:
            return "waiting"
        return "syncing" if states & {"waiting", "syncing"} else "synced"

    @property
    def is_counted(self) -> bool:
        """Whether every folder has told how much it holds."""
        return bool(self.parts) and all(part.state != "waiting" for part in self.parts)


def progress_of(
    folders: Sequence[Folder],
    window: Retention,
    tallies: Mapping[str, Tally],
    now: float,
    failing: Container[str] = (),
) -> Progress:
    """Return the progress of an account's folders; `failing` are ids of those that cannot be synced now."""
    fixed = window.fixed(folders)
    parts = [
        Part(
            folder=folder,
            days=fixed.days_of(folder.id),
            tally=tallies.get(folder.id),
            failing=folder.id in failing,
        )
        for folder in folders
        if folder.is_synced
    ]
    return Progress(parts=parts, now=now)


def percent(synced: int, left: int) -> float:
    """Return how much is done: 100 only if nothing is left, and never a rounded-up 100."""
    if not left:
        return 100.0
    return min(99.9, math.floor(1000 * synced / (synced + left)) / 10)


def seconds_left(left: int, rate: float) -> int | None:
    """Return how long what is left takes, None if nobody knows."""
    if not left:
        return 0
    return math.ceil(left / rate) if rate > 0 else None
