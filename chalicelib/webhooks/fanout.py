"""From the delta log to deliveries.

Each endpoint has a pointer per account: the last log entry it was told of. A wake-up reads the log
from there on, page by page; one page becomes one delivery, stored together with the moved pointer
in one transaction, so that lost, doubled and reordered wake-ups neither skip nor repeat an entry.

Where there is no pointer yet, the first wake-up starts it just before its own oldest entry: an
endpoint hears of what is logged after it was created, give or take what was under way then. The
same holds when the pointer is so old that the log no longer reaches back to it. While an endpoint
is switched off its pointer moves on silently; it catches up through the delta API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.domain.delta import Delta
from chalicelib.domain.webhook import Webhook, trigger_of
from chalicelib.errors import CursorTooOld
from chalicelib.store.ports import Deliveries, Delivery, DeltaLog, Queues

PAGE = 100
TOLD_STATES = frozenset({"active", "failing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What planning deliveries needs."""

    log: DeltaLog
    deliveries: Deliveries
    queues: Queues


def tell(desk: Desk, webhook: Webhook, account_id: str, *, first_seq: int, now: int) -> None:
    """Plan deliveries of all an endpoint has not been told of; `first_seq` is the wake-up's oldest entry."""
    told = desk.deliveries.pointer(webhook.id, account_id)
    while page := _next_page(desk.log, account_id, told, first_seq):
        delivery = _delivery(webhook, page, now)
        last = page[-1].seq
        if not desk.deliveries.begin(delivery, webhook.id, account_id, told, last):
            return  # whoever moved the pointer reads on from there, past our entries too
        if delivery:
            desk.queues.send("deliveries", [notice(delivery)], webhook.id)
        told = last


def wanted(webhook: Webhook, entries: Sequence[Delta]) -> list[Delta]:
    """Return the entries an endpoint asked to hear of."""
    if webhook.state not in TOLD_STATES:
        return []
    return [entry for entry in entries if trigger_of(entry.change) in webhook.triggers]


def notice(delivery: Delivery) -> dict[str, str | int]:
    """Return the queue message that asks for one attempt."""
    return {
        "webhook_id": delivery.webhook_id,
        "application_id": delivery.application_id,
        "delivery_id": delivery.id,
    }


def _next_page(log: DeltaLog, account_id: str, told: int | None, first_seq: int) -> list[Delta]:
    if told is None:
        return log.since(account_id, first_seq - 1, PAGE)[:PAGE]
    try:
        return log.since(account_id, told, PAGE)[:PAGE]
    except CursorTooOld:
        return log.since(account_id, max(told, first_seq - 1), PAGE)[:PAGE]


def _delivery(webhook: Webhook, page: Sequence[Delta], now: int) -> Delivery | None:
    entries = wanted(webhook, page)
    if not entries:
        return None
    return Delivery(
        webhook_id=webhook.id,
        application_id=webhook.application_id,
        account_id=entries[0].change.account_id,
        first_seq=entries[0].seq,
        last_seq=entries[-1].seq,
        attempt=0,
        due_at=now,
    )
