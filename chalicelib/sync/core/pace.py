"""How much history a sync may bring, and when it has had its turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from chalicelib.clock import Deadline
from chalicelib.domain.remote import BatchLimits

EVERYTHING = BatchLimits().history
FIRST_MESSAGES = 1_200
FIRST_SECONDS = 4.0
"""What of a new account comes at once: enough for the first screens. The rest waits for its turn."""


class Pace(Protocol):
    """Asked before each batch, told after it."""

    def history(self) -> int:
        """Return how many messages of history the next batch may bring."""

    def note(self, messages: int, received: int) -> None:
        """Count a batch; `received` is what the provider has read so far, in bytes."""

    def stored(self, ids: Sequence[str]) -> None:
        """Hear which messages have been stored; may wait until the next ones are welcome."""

    def over(self) -> bool:
        """Tell whether it is time to stop."""


@dataclass(frozen=True, slots=True)
class Unhurried:
    """Everything, without a pause."""

    def history(self) -> int:
        """Return no bound."""
        return EVERYTHING

    def note(self, messages: int, received: int) -> None:
        """Count nothing."""

    def stored(self, ids: Sequence[str]) -> None:
        """Go on at once."""

    def over(self) -> bool:
        """Never stop."""
        return False


UNHURRIED = Unhurried()


@dataclass
class Live:
    """What is new, and the first screens of an account that has just come.

    `waits` tells whether the rest of its history waits for a turn already: then no more of it comes here.
    It is asked at most once, and not at all if nothing has moved.
    """

    waits: Callable[[], bool]
    messages: int = FIRST_MESSAGES
    until: Deadline = field(default_factory=lambda: Deadline.after(FIRST_SECONDS))
    received: int = 0

    def history(self) -> int:
        """Return what is left of the first screens."""
        return 0 if self.until.passed() or self._waits else max(0, self.messages)

    def note(self, messages: int, received: int) -> None:
        """Count both."""
        self.messages -= messages
        self.received = received

    def stored(self, ids: Sequence[str]) -> None:
        """Go on at once."""

    def over(self) -> bool:
        """Never stop: what is new must come."""
        return False

    @cached_property
    def _waits(self) -> bool:
        return self.waits()
