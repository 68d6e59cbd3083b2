"""A round through all lanes of an endpoint: after a rest, a recovery, a replay, a new start.

A round asks for a bounded number of lanes to be worked and comes again for the others. It begins
at a random lane, so that none waits behind the same others every time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.clock import Deadline
from chalicelib.domain.lane import Lane
from chalicelib.domain.webhook import TOLD_STATES, Webhook
from chalicelib.store.ports import Queues, Wake
from chalicelib.webhooks import deliver, fanout

MOST_LANES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a round needs; `start` is a random text that begins like an account's id."""

    inner: deliver.Desk
    queues: Queues
    start: str


def go(desk: Desk, webhook: Webhook, deadline: Deadline) -> None:
    """Ask for every lane that is behind; an endpoint out of order gets one probe from the first."""
    inner, now = desk.inner, int(desk.inner.now())
    circuit = inner.circuits.get(webhook.id)
    if webhook.state not in TOLD_STATES or circuit.resting(now):
        return
    behind: list[Lane] = []
    for stored in inner.deliveries.lanes(webhook.id, desk.start):
        lane = _current(inner, webhook, stored)
        if not _is_behind(inner, lane):
            continue
        if circuit.broken:
            deliver.work(inner, webhook, lane, deadline)
            circuit = inner.circuits.get(webhook.id)
        else:
            behind.append(lane)
        if circuit.resting(now) or len(behind) == MOST_LANES or deadline.passed():
            break
    _ask(desk, webhook, behind)
    if len(behind) == MOST_LANES or deadline.passed():
        deliver.wake_endpoint(inner.deliveries, webhook, now + deliver.BUSY_SECONDS)


def _ask(desk: Desk, webhook: Webhook, lanes: list[Lane]) -> None:
    wakes = [
        Wake(webhook_id=webhook.id, application_id=webhook.application_id, lane=lane.key) for lane in lanes
    ]
    if wakes:
        desk.queues.send(fanout.QUEUE, [wake.message() for wake in wakes], webhook.id)


def _current(desk: deliver.Desk, webhook: Webhook, lane: Lane) -> Lane:
    """Begin a lane of an earlier activation anew: at the end of the log as it is now."""
    if lane.epoch == webhook.activated_at or lane.replay:
        return lane
    newest, _ = desk.log.head(lane.account_id)
    begun = replace(lane, told=newest, open="", epoch=webhook.activated_at)
    if desk.deliveries.change_lane(lane, begun):
        fanout.abandon(desk.deliveries, lane)
        return begun
    return desk.deliveries.lane(webhook.id, lane.key) or begun


def _is_behind(desk: deliver.Desk, lane: Lane) -> bool:
    return bool(lane.open) or lane.since is not None or desk.log.head(lane.account_id)[0] > lane.told
