"""Many changes, few calls: the first one counts at once, what follows within a moment counts together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Later = Callable[[float, Callable[[], None]], Any]
"""Calls a function at a time of the clock, as an event loop's call_at."""


class Debounce:
    """Calls `ring` at once, then at most every `seconds`; the last change is never swallowed."""

    __slots__ = ("_later", "_next", "_now", "_planned", "_ring", "_seconds")

    def __init__(
        self, ring: Callable[[], None], seconds: float, now: Callable[[], float], later: Later
    ) -> None:
        self._ring = ring
        self._seconds = seconds
        self._now = now
        self._later = later
        self._next = float("-inf")
        self._planned = False

    def __call__(self) -> None:
        """Note a change."""
        if self._planned:
            return
        if self._now() >= self._next:
            self._fire()
        else:
            self._planned = True
            self._later(self._next, self._fire)

    def _fire(self) -> None:
        self._planned = False
        self._next = self._now() + self._seconds
        self._ring()
