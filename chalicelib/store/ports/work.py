"""Queues, and what may be done at once or in a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from chalicelib.domain.jobs import Job, Queue
from chalicelib.store.values import (
    Slot,
    Spent,
)


class Quotas(Protocol):
    """How often something may be done in a span of time (table `work`)."""

    def spend(self, name: str, most: int, seconds: int) -> Spent:
        """Count one of `most` in the present span of so many seconds, unless all are used up."""

    def give_back(self, spent: Spent) -> None:
        """Count one less: it was no attempt of the kind that is bounded."""


class Slots(Protocol):
    """How many may do something at once (table `work`)."""

    def take(self, name: str, most: int, seconds: float) -> Slot | None:
        """Hold one of `most` slots for so long; None while all are held."""

    def taken(self, name: str) -> int:
        """Return how many are held."""

    def give_back(self, slot: Slot) -> None:
        """Free a slot; one that somebody else holds meanwhile stays."""


class Queues(Protocol):
    """SQS."""

    def send(
        self,
        jobs: Sequence[Job],
        group: str | Sequence[str],
        delay: int = 0,
        spread: Sequence[int] = (),
    ) -> None:
        """Put jobs of one queue into it.

        They are seen after `delay` seconds, or each after its own of `spread`; group is the tenant, for all
        or for each: the application whose accounts are synced, the endpoint that is told.
        """

    def waiting(self, queue: Queue[Any]) -> int:
        """Return about how many jobs could be taken now."""
