"""Reading the ledger: what was sent, and what an endpoint has not heard and may ask for again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.ledger import Missed, Selection
from chalicelib.domain.webhooks.webhook import Webhook, outages
from chalicelib.errors import CursorTooOld
from chalicelib.store.ports.log import DeltaLog
from chalicelib.store.ports.webhooks import Deliveries
from chalicelib.webhooks.delivery import batches, payload
from chalicelib.webhooks.manage.replay import KEPT_SECONDS


def select(deliveries: Deliveries, webhook: Webhook, wanted: Selection) -> Iterator[Delivery]:
    """Yield entries of the ledger, newest first."""
    if wanted.state == "failed":
        return deliveries.failed(webhook.id, wanted.since, wanted.until)
    found = deliveries.ledger(webhook.id, wanted.since, wanted.until)
    return (delivery for delivery in found if wanted.state in (None, delivery.state))


def body(log: DeltaLog, webhook: Webhook, delivery: Delivery) -> Any:
    """Return what a notification holds; None for a test event and for what the log has dropped."""
    if not delivery.lane:
        return None
    try:
        return json.loads(payload.build(batches.entries(log, webhook, delivery)))
    except CursorTooOld:
        return None


def missed(deliveries: Deliveries, log: DeltaLog, webhook: Webhook, limit: int, now: int) -> Missed:
    """Return what an endpoint missed in the last 14 days; each list has at most `limit` items."""
    oldest = now - KEPT_SECONDS
    silent = [(max(since, oldest), until) for since, until in outages(webhook, now) if until > oldest]
    failed = select(deliveries, webhook, Selection(since=oldest, until=now, state="failed"))
    return Missed(
        outages=silent[-limit:] if limit else [],
        failed=list(islice((delivery for delivery in failed if delivery.lane), limit)),
        behind=list(islice(_behind(deliveries, log, webhook), limit)),
    )


def _behind(deliveries: Deliveries, log: DeltaLog, webhook: Webhook) -> Iterator[tuple[str, int]]:
    for lane in deliveries.lanes(webhook.id):
        left = 0 if lane.replay else log.head(lane.account_id)[0] - lane.told
        if left > 0:
            yield lane.account_id, left
