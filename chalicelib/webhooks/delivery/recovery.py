"""A round through all lanes of an endpoint: after a rest, a recovery, a replay, a new start.

A round asks for a bounded number of lanes to be worked and comes again for the others. It begins
at a random lane, so that none waits behind the same others every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

from chalicelib.clock import Deadline
from chalicelib.domain.jobs import Wake
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.domain.webhooks.webhook import TOLD_STATES, Webhook
from chalicelib.store.ports.work import Queues
from chalicelib.webhooks.delivery import batches, deliver, fanout

MOST_LANES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Goes round all lanes of an endpoint; `start` is a random text that begins like an account's id."""

    inner: deliver.Delivering
    queues: Queues
    start: str

    def go(self, webhook: Webhook, deadline: Deadline) -> None:
        """Ask for every lane that is behind; an endpoint out of order must take one notification first."""
        inner = self.inner
        if webhook.state not in TOLD_STATES or not self._is_well(webhook, deadline):
            return
        lanes = list(islice(self._behind(webhook, deadline), MOST_LANES))
        self._ask(webhook, lanes)
        if len(lanes) == MOST_LANES or deadline.passed():
            deliver.wake_endpoint(inner.deliveries, webhook, int(inner.now()) + deliver.BUSY_SECONDS)

    def _is_well(self, webhook: Webhook, deadline: Deadline) -> bool:
        """Tell whether the endpoint takes anything; if it was out of order, find out unless it rests."""
        inner = self.inner
        circuit = inner.circuits.get(webhook.id)
        if not circuit.broken:
            return True
        probe = inner.deliveries.lane(webhook.id, circuit.probe)
        for lane in chain([probe] if probe else [], self._behind(webhook, deadline)):
            if circuit.resting(int(inner.now())):
                return False
            inner.work(webhook, lane, deadline)
            circuit = inner.circuits.get(webhook.id)
            if not circuit.broken:
                return True
        return False

    def _behind(self, webhook: Webhook, deadline: Deadline) -> Iterator[Lane]:
        for stored in self.inner.deliveries.lanes(webhook.id, self.start):
            if deadline.passed():
                return
            lane = _current(self.inner, webhook, stored)
            if _is_behind(self.inner, lane):
                yield lane

    def _ask(self, webhook: Webhook, lanes: list[Lane]) -> None:
        wakes = [
            Wake(webhook_id=webhook.id, application_id=webhook.application_id, lane=lane.key)
            for lane in lanes
        ]
        if wakes:
            self.queues.send(wakes, webhook.id)


def _current(delivering: deliver.Delivering, webhook: Webhook, lane: Lane) -> Lane:
    """Begin a lane of an earlier activation anew: with what was logged since the latest one."""
    if lane.epoch == webhook.activated_at or lane.replay:
        return lane
    told = batches.before(delivering.log, lane.account_id, webhook.activated_at)
    begun = replace(lane, told=told, open="", epoch=webhook.activated_at)
    if delivering.deliveries.change_lane(lane, begun):
        fanout.abandon(delivering.deliveries, lane)
        return begun
    return delivering.deliveries.lane(webhook.id, lane.key) or begun


def _is_behind(delivering: deliver.Delivering, lane: Lane) -> bool:
    return bool(lane.open) or lane.since is not None or delivering.log.head(lane.account_id)[0] > lane.told
