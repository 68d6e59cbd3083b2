"""From the delta log to the next notification of a lane."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.domain.log.delta import Delta
from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.domain.webhooks.webhook import ALIASES, Webhook, trigger_of
from chalicelib.errors import CursorTooOld
from chalicelib.ids import dated_id
from chalicelib.store.ports.log import DeltaLog

PAGE = 100
MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class Page:
    """Entries an endpoint asked for, and the last entry that was looked at to find them."""

    entries: tuple[Delta, ...]
    last: int


def page(log: DeltaLog, webhook: Webhook, lane: Lane) -> Page:
    """Return the next entries of a lane: at most a hundred, fewer if the log ends or holds others only.

    Where the log no longer reaches back to the lane, it begins with the oldest entry that is kept.
    """
    found: list[Delta] = []
    last = lane.told
    for _ in range(MOST_PAGES):
        read = _read(log, lane, last)
        for entry in read:
            last = entry.seq
            if wants(webhook, entry):
                found.append(entry)
            if len(found) == PAGE:
                return Page(tuple(found), last)
        if not read:
            break
    return Page(tuple(found), last)


def entries(log: DeltaLog, webhook: Webhook, delivery: Delivery) -> list[Delta]:
    """Return what a delivery holds. Raises CursorTooOld if the log has dropped it."""
    found: list[Delta] = []
    last = delivery.first_seq - 1
    while last < delivery.last_seq:
        read = log.since(delivery.account_id, last, PAGE)
        if not read:
            break
        found += [entry for entry in read if entry.seq <= delivery.last_seq and wants(webhook, entry)]
        last = read[-1].seq
    return found


def wants(webhook: Webhook, entry: Delta) -> bool:
    """Tell whether an endpoint asked to hear of an entry."""
    trigger = trigger_of(entry.change)
    return trigger in webhook.triggers or any(
        ALIASES[name] == trigger for name in webhook.triggers & ALIASES.keys()
    )


def delivery(lane: Lane, found: Page, now: int, held_until: int) -> Delivery:
    """Return the delivery of a page, its first attempt under way."""
    first, last = found.entries[0].seq, found.last
    return Delivery(
        id=dated_id(now, lane.webhook_id, lane.key, str(first), str(lane.epoch)),
        webhook_id=lane.webhook_id,
        application_id=lane.application_id,
        account_id=lane.account_id,
        lane=lane.key,
        first_seq=first,
        last_seq=last,
        count=len(found.entries),
        created_at=now,
        due_at=held_until,
        attempt=1,
    )


def bounded(log: DeltaLog, lane: Lane) -> Lane:
    """Return a replay with the bounds that its times have in the log; other lanes as they are."""
    if lane.since is None:
        return lane
    newest, _ = log.head(lane.account_id)
    upto = newest if lane.until is None else before(log, lane.account_id, lane.until + 1)
    told = before(log, lane.account_id, lane.since)
    return replace(lane, told=told, upto=upto, since=None, until=None)


def before(log: DeltaLog, account_id: str, moment: int) -> int:
    """Return the sequence number of the last entry older than a moment (Unix seconds).

    Entries that the log has dropped count as older: about 17 reads for a hundred thousand entries.
    """
    low, high = 0, log.head(account_id)[0]
    while low < high:  # entries up to `low` are older, entries after `high` are not
        middle = (low + high) // 2
        if _at(log, account_id, middle + 1) < moment:
            low = middle + 1
        else:
            high = middle
    return low


def _at(log: DeltaLog, account_id: str, seq: int) -> int:
    try:
        return log.since(account_id, seq - 1, 1)[0].at
    except CursorTooOld:
        return 0


def _read(log: DeltaLog, lane: Lane, last: int) -> list[Delta]:
    try:
        read = log.since(lane.account_id, last, PAGE)
    except CursorTooOld:
        oldest = before(log, lane.account_id, 1)
        read = log.since(lane.account_id, oldest, PAGE) if oldest > last else []
    return [entry for entry in read if lane.upto is None or entry.seq <= lane.upto]
