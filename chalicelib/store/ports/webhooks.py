"""Endpoints, their lanes and deliveries, and how they have answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from chalicelib.domain.jobs import Wake
from chalicelib.domain.webhooks.circuit import Circuit
from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.domain.webhooks.webhook import Webhook


class Webhooks(Protocol):
    """Customers' endpoints (table `core`)."""

    def put(self, webhook: Webhook) -> None:
        """Store or replace a webhook."""

    def get(self, application_id: str, id: str) -> Webhook | None:
        """Return one webhook."""

    def change(self, old: Webhook, new: Webhook) -> bool:
        """Store a new state if the stored one is still the old; False otherwise."""

    def of_application(self, application_id: str) -> list[Webhook]:
        """Return every webhook of an application, oldest first."""

    def delete(self, application_id: str, id: str) -> None:
        """Remove a webhook; removing none is fine."""


class Deliveries(Protocol):
    """Lanes, the ledger of notifications, and what is to be looked at later (table `work`)."""

    def lane(self, webhook_id: str, key: str) -> Lane | None:
        """Return one lane, strongly consistent."""

    def lanes(self, webhook_id: str, start: str = "") -> Iterator[Lane]:
        """Yield every lane of an endpoint once, from the key `start` on and then from the first."""

    def change_lane(self, old: Lane | None, new: Lane) -> bool:
        """Store a lane if it is still as it was read (None: there was none); False otherwise."""

    def add_lanes(self, lanes: Iterable[Lane]) -> None:
        """Store new lanes, in no order."""

    def close_lane(self, lane: Lane) -> None:
        """Remove a lane."""

    def begin(self, old: Lane, new: Lane, delivery: Delivery) -> bool:
        """Store a delivery and its lane in one transaction; False if the lane is not as it was read."""

    def claim(self, old: Delivery, new: Delivery) -> bool:
        """Count one attempt, conditional on the last one; False if somebody else has."""

    def record(self, delivery: Delivery) -> None:
        """Store a delivery as it is now; only whoever claimed it may."""

    def settle(self, old: Lane, new: Lane, delivery: Delivery) -> None:
        """Store a delivery that is over and move its lane in one transaction.

        A lane that was begun anew or removed meanwhile stays as it is.
        """

    def get(self, webhook_id: str, id: str) -> Delivery | None:
        """Return a delivery of the last 14 days."""

    def ledger(self, webhook_id: str, since: int, until: int) -> Iterator[Delivery]:
        """Yield deliveries begun in a span of Unix time, newest first, at most 14 days back."""

    def failed(self, webhook_id: str, since: int, until: int) -> Iterator[Delivery]:
        """Yield those of them that failed, newest first, without reading the others."""

    def schedule(self, wake: Wake, at: int) -> None:
        """Have a wake-up queued at a time (Unix seconds); the same one twice is one."""

    def due(self, now: int) -> list[tuple[int, Wake]]:
        """Return what is to be queued by now, each with its time."""

    def queued(self, wakes: Sequence[tuple[int, Wake]]) -> None:
        """Forget wake-ups that are in the queue."""

    def wait(self, wake: Wake) -> None:
        """Note that a lane found no slot."""

    def next_waiting(self, webhook_id: str) -> str | None:
        """Return the key of a lane that waits for a slot, and have it wait no longer."""

    def stop_waiting(self, webhook_id: str) -> None:
        """Have no lane of an endpoint wait any longer."""

    def forget(self, webhook_id: str) -> None:
        """Remove every lane of an endpoint; its ledger expires by itself."""


class Circuits(Protocol):
    """How endpoints answer, and the calls to each that are under way (table `work`)."""

    def get(self, webhook_id: str) -> Circuit:
        """Return an endpoint's circuit, strongly consistent."""

    def enter(self, webhook_id: str, seen: Circuit, now: int, until: int) -> int | None:
        """Take a slot until a time; None if the endpoint has enough calls under way."""

    def accepted(self, webhook_id: str, slot: int, now: int, until: int) -> Circuit:
        """Count a success and prolong the slot."""

    def refused(self, webhook_id: str, slot: int, now: int, until: int, rest: int, lane: str) -> Circuit:
        """Count a failure and prolong the slot; `rest` (0: none) is when the next call may be made."""

    def leave(self, webhook_id: str, slot: int) -> None:
        """Give a slot back."""

    def reset(self, webhook_id: str) -> None:
        """Forget everything: the endpoint begins anew."""
