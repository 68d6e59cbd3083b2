"""What an owner may ask about and do to endpoints: one method per request of the management API."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chalicelib.clock import Clock
from chalicelib.domain.webhooks.circuit import Circuit
from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.ledger import Missed, Replay, Selection
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.ids import base36, random_id
from chalicelib.store.ports.accounts import Accounts
from chalicelib.webhooks.delivery import deliver
from chalicelib.webhooks.manage import endpoint, ledger, replay, rotation, test_event


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAdmin:
    """Every method raises InvalidRequest for what cannot be done; times are Unix seconds."""

    delivering: deliver.Delivering
    accounts: Accounts
    get: endpoint.Get
    now: Clock = field(default=time.time)

    def create(self, wanted: Webhook) -> Webhook:
        """Store a new webhook; an active one must answer the challenge first."""
        return self._owner().create(wanted, int(self.now()))

    def switch(self, webhook: Webhook, state: str) -> Webhook:
        """Set the state; becoming active runs the challenge."""
        return self._owner().switch(webhook, state, int(self.now()))

    def remove(self, webhook: Webhook) -> None:
        """Remove a webhook."""
        self._owner().remove(webhook)

    def circuit(self, webhook: Webhook) -> Circuit:
        """Return how an endpoint has answered lately."""
        return self.delivering.circuits.get(webhook.id)

    def rotate(self, application_id: str, newest: str, overlap: int) -> tuple[str, int]:
        """Return a new client secret and until when the newest so far is valid too."""
        return rotation.rotate(self.delivering.applications, application_id, newest, overlap, int(self.now()))

    def end_overlap(self, application_id: str, newest: str) -> None:
        """Have the secret before the newest be valid no longer."""
        rotation.end_overlap(self.delivering.applications, application_id, newest)

    def select(self, webhook: Webhook, wanted: Selection) -> Iterator[Delivery]:
        """Yield entries of the ledger, newest first."""
        return ledger.select(self.delivering.deliveries, webhook, wanted)

    def delivery(self, webhook: Webhook, id: str) -> Delivery | None:
        """Return one entry of the ledger."""
        return self.delivering.deliveries.get(webhook.id, id)

    def body(self, webhook: Webhook, delivery: Delivery) -> Any:
        """Return what a notification holds, None if that is no longer known."""
        return ledger.body(self.delivering.log, webhook, delivery)

    def missed(self, webhook: Webhook, limit: int) -> Missed:
        """Return what an endpoint has not heard."""
        return ledger.missed(self.delivering.deliveries, self.delivering.log, webhook, limit, int(self.now()))

    def again(self, webhook: Webhook, delivery: Delivery) -> tuple[str, int]:
        """Have one notification sent again; return the replay's id and how many it will send."""
        id = random_id()
        return id, replay.again(self.delivering.deliveries, webhook, [delivery], id, int(self.now()))

    def replay(self, webhook: Webhook, asked: Replay) -> tuple[str, dict[str, int]]:
        """Have a span of time told again; return the replay's id and how much that is."""
        id = random_id()
        delivering = replay.Replaying(deliveries=self.delivering.deliveries, accounts=self.accounts)
        return id, delivering.span(webhook, asked, id, int(self.now()))

    def test(self, webhook: Webhook, trigger: str) -> Delivery:
        """Send a made-up notification now and return what became of it."""
        return test_event.send(self.delivering, webhook, trigger, random_id())

    def _owner(self) -> endpoint.Endpoints:
        return endpoint.Endpoints(
            webhooks=self.delivering.webhooks,
            deliveries=self.delivering.deliveries,
            circuits=self.delivering.circuits,
            get=self.get,
            token=base36(secrets.randbits(83), 16),
        )
