"""From new log entries to endpoints that have something to hear.

Each endpoint has a lane per account. A wake-up of the log starts the lane where there is none yet,
just before its own oldest entry: an endpoint hears of what is logged after it was switched on, give
or take what was under way then. Then it asks for the lane to be worked. While a delivery is under
way nothing needs asking, unless it is long overdue: whoever settles it reads on. While an endpoint is
out of order nothing is asked or stored; its lanes stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.domain.jobs import Wake
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.domain.webhooks.webhook import TOLD_STATES, Webhook
from chalicelib.store.ports.log import DeltaLog
from chalicelib.store.ports.webhooks import Circuits, Deliveries
from chalicelib.store.ports.work import Queues
from chalicelib.webhooks.delivery import batches

OVERDUE_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """Wakes the endpoints that want new entries of a log."""

    log: DeltaLog
    deliveries: Deliveries
    circuits: Circuits
    queues: Queues

    def tell(self, webhook: Webhook, account_id: str, *, first_seq: int, now: int) -> None:
        """Have an endpoint told of an account's new entries; `first_seq` is the wake-up's oldest one."""
        if webhook.state not in TOLD_STATES:
            return
        lane = _current(self.deliveries, webhook, account_id, first_seq)
        if (lane.open and not self._forgotten(lane, now)) or self.circuits.get(webhook.id).resting(now):
            return
        found = batches.page(self.log, webhook, lane)
        if found.entries or lane.open:
            wake = Wake(webhook_id=webhook.id, application_id=webhook.application_id, lane=lane.key)
            self.queues.send([wake], webhook.id)
        elif found.last > lane.told:
            self.deliveries.change_lane(lane, replace(lane, told=found.last))

    def _forgotten(self, lane: Lane, now: int) -> bool:
        """Tell whether the open delivery of a lane is long overdue: its wake-up is a dead letter."""
        delivery = self.deliveries.get(lane.webhook_id, lane.open)
        return delivery is None or delivery.due_at + OVERDUE_SECONDS < now


def _current(deliveries: Deliveries, webhook: Webhook, account_id: str, first_seq: int) -> Lane:
    found = deliveries.lane(webhook.id, account_id)
    if found and found.epoch == webhook.activated_at:
        return found
    made = Lane(
        webhook_id=webhook.id,
        application_id=webhook.application_id,
        account_id=account_id,
        told=first_seq - 1,
        epoch=webhook.activated_at,
    )
    if deliveries.change_lane(found, made):
        abandon(deliveries, found)
        return made
    return deliveries.lane(webhook.id, account_id) or made


def abandon(deliveries: Deliveries, lane: Lane | None) -> None:
    """Close the delivery of a lane that began anew: its endpoint was switched off meanwhile."""
    left = deliveries.get(lane.webhook_id, lane.open) if lane and lane.open else None
    if left and left.state == "pending":
        deliveries.record(replace(left, state="failed"))
