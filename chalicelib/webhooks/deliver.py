"""One attempt to hand a notification to a customer's endpoint.

Any 2xx is success, 410 switches the endpoint off, everything else is tried again: five attempts
within about twenty minutes, each wait jittered. An endpoint that used up all five is `failing`
until it accepts something again; it goes on being told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from chalicelib.domain.delta import Delta
from chalicelib.domain.webhook import Webhook
from chalicelib.errors import CursorTooOld, ProviderError
from chalicelib.providers.http import Answer
from chalicelib.store.ports import Applications, Deliveries, Delivery, DeltaLog, Webhooks
from chalicelib.webhooks import fanout, payload, signature

log = logging.getLogger(__name__)

# Seconds to wait after each failed attempt: 20, 100, 420 and 1200 seconds after the first.
WAITS = (20, 80, 320, 780)
JITTER = 0.2
HOLD_SECONDS = 60

Post = Callable[[str, bytes, Mapping[str, str]], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What delivering needs; `jitter` draws a number between two."""

    webhooks: Webhooks
    applications: Applications
    deliveries: Deliveries
    log: DeltaLog
    post: Post
    jitter: Callable[[float, float], float]


def attempt(desk: Desk, webhook_id: str, delivery_id: str, *, now: int) -> None:
    """Make one attempt, unless the delivery is over, held by another worker or not yet due."""
    found = desk.deliveries.get(webhook_id, delivery_id)
    if found is None or found.state != "pending" or (found.attempt and found.due_at > now):
        return
    delivery = desk.deliveries.claim(found, now + HOLD_SECONDS)
    if delivery is None:
        return
    webhook = desk.webhooks.get(delivery.application_id, webhook_id)
    try:
        entries = _entries(desk, webhook, delivery) if webhook else []
    except CursorTooOld:
        desk.deliveries.fail(delivery)
        return
    if webhook is None or not entries:
        desk.deliveries.done(delivery)
        return
    _settle(desk, webhook, delivery, _post(desk, webhook, entries), now)


def _entries(desk: Desk, webhook: Webhook, delivery: Delivery) -> list[Delta]:
    span = delivery.last_seq - delivery.first_seq + 1
    entries = desk.log.since(delivery.account_id, delivery.first_seq - 1, span)
    return fanout.wanted(webhook, [entry for entry in entries if entry.seq <= delivery.last_seq])


def _post(desk: Desk, webhook: Webhook, entries: list[Delta]) -> int:
    """Return the endpoint's status, 0 if it gave none."""
    body = payload.build(entries)
    secret = desk.applications.secret(webhook.application_id)
    headers = {"Content-Type": "application/json", signature.HEADER: signature.sign(secret, body)}
    try:
        return desk.post(webhook.callback_url, body, headers).status
    except ProviderError as error:
        log.warning("webhook %s cannot be reached: %s", webhook.id, error)
        return 0


def _settle(desk: Desk, webhook: Webhook, delivery: Delivery, status: int, now: int) -> None:
    if 200 <= status < 300:
        desk.deliveries.done(delivery)
        _change_state(desk, webhook, "failing", "active")
    elif status == 410:
        desk.deliveries.done(delivery)
        _change_state(desk, webhook, webhook.state, "inactive")
    elif delivery.attempt <= len(WAITS):
        wait = WAITS[delivery.attempt - 1] * desk.jitter(1 - JITTER, 1 + JITTER)
        desk.deliveries.retry(delivery, now + round(wait))
    else:
        log.warning("delivery %s to webhook %s is given up", delivery.id, webhook.id)
        desk.deliveries.fail(delivery)
        _change_state(desk, webhook, "active", "failing")


def _change_state(desk: Desk, webhook: Webhook, old: str, new: str) -> None:
    if webhook.state != old:
        return
    fresh = desk.webhooks.get(webhook.application_id, webhook.id)
    if fresh is not None and fresh.state == old:  # its owner may have changed or deleted it meanwhile
        desk.webhooks.put(replace(fresh, state=new))
