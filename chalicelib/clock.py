"""Time as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
"""A function that returns Unix seconds."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment after which no new batch is begun."""

    at: float
    now: Clock = time.monotonic

    @classmethod
    def after(cls, seconds: float, now: Clock = time.monotonic) -> Deadline:
        """Return a deadline `seconds` from now."""
        return cls(at=now() + seconds, now=now)

    def passed(self) -> bool:
        """Tell whether the moment has come."""
        return self.now() >= self.at

    def left(self) -> float:
        """Return the seconds that remain, never below zero."""
        return max(0.0, self.at - self.now())
