"""Lanes, the ledger of notifications and the wake-ups to come (table `work`).

An endpoint's lanes are one partition, its ledger one partition per day; what failed stands in an
index of its own. A wake-up is a row in one of
eight partitions, sorted by its time; it carries no data, so a doubled one is harmless.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.jobs import Wake
from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.ids import date_of, date_prefix, is_id
from chalicelib.store.aws.dynamo import AFTER_ALL, Item, Key, Table, key, parallel, transact_patiently
from chalicelib.store.errors import Cancelled
from chalicelib.store.objects.rows import live
from chalicelib.store.values import Stale
from chalicelib.store.work.delivery_rows import delivery_of, delivery_row, lane_of, lane_row

KEPT_DAYS = 14
_DAY = 86400
_SHARDS = 8
_MOST_DUE = 2000
_PAGE = 200


class DeliveryTable:
    """The port Deliveries. Every step is conditional, so a repeated signal changes nothing."""

    def __init__(self, client: Any, settings: Settings, now: Clock = time.time) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")
        self._now = now

    def lane(self, webhook_id: str, key: str) -> Lane | None:
        row = self._table.get(_lanes_pk(webhook_id), key)
        return lane_of(row) if row else None

    def lanes(self, webhook_id: str, start: str = "") -> Iterator[Lane]:
        pk = _lanes_pk(webhook_id)
        later = self._table.pages(pk, start or None, limits=[_PAGE])
        sooner = self._table.pages(pk, "0", start, limits=[_PAGE]) if start else iter(())
        for page in chain(later, sooner):
            yield from (lane_of(row) for row in page)

    def change_lane(self, old: Lane | None, new: Lane) -> bool:
        condition, values = _unchanged(old)
        try:
            self._table.put_if(self._lane_row(new), condition, values)
        except Stale:
            return False
        return True

    def add_lanes(self, lanes: Iterable[Lane]) -> None:
        self._table.write_many(self._lane_row(lane) for lane in lanes)

    def close_lane(self, lane: Lane) -> None:
        self._table.write_many(deletes=[(_lanes_pk(lane.webhook_id), lane.key)])

    def begin(self, old: Lane, new: Lane, delivery: Delivery) -> bool:
        lane = self._put(self._lane_row(new), *_unchanged(old))
        return self._done([lane, self._put(self._delivery_row(delivery))])

    def claim(self, old: Delivery, new: Delivery) -> bool:
        values = {":a": {"N": str(old.attempt)}, ":d": {"N": str(old.due_at)}}
        try:
            self._table.put_if(self._delivery_row(new), "attempt = :a AND due_at = :d", values)
        except Stale:
            return False
        return True

    def record(self, delivery: Delivery) -> None:
        """Store a delivery as it is now; nothing happens if somebody else has claimed it meanwhile."""
        self._index(delivery)
        try:
            self._table.put_if(self._delivery_row(delivery), *_ours(delivery))
        except Stale:
            return

    def settle(self, old: Lane, new: Lane, delivery: Delivery) -> None:
        self._index(delivery)
        lane = self._put(self._lane_row(new), *_unchanged(old))
        if not self._done([lane, self._put(self._delivery_row(delivery), *_ours(delivery))]):
            self.record(delivery)

    def get(self, webhook_id: str, id: str) -> Delivery | None:
        if not is_id(id):
            return None
        row = self._table.get(_ledger_pk(webhook_id, date_of(id) // _DAY), id)
        return delivery_of(row) if row and live([row], self._now()) else None

    def ledger(self, webhook_id: str, since: int, until: int) -> Iterator[Delivery]:
        now = int(self._now())
        since, until = max(since, now - KEPT_DAYS * _DAY), min(until, now + _DAY)
        low, high = date_prefix(since), date_prefix(until) + AFTER_ALL
        for day in range(until // _DAY, since // _DAY - 1, -1):
            for page in self._table.pages(
                _ledger_pk(webhook_id, day), low, high, newest=True, limits=[_PAGE]
            ):
                yield from (delivery_of(row) for row in live(page, now))

    def failed(self, webhook_id: str, since: int, until: int) -> Iterator[Delivery]:
        low, high = date_prefix(since), date_prefix(until) + AFTER_ALL
        for page in self._table.pages(_failed_pk(webhook_id), low, high, newest=True, limits=[_PAGE]):
            ids = [row["sk"]["S"] for row in page]
            found = self._table.get_many((_ledger_pk(webhook_id, date_of(id) // _DAY), id) for id in ids)
            deliveries = {one.id: one for one in map(delivery_of, live(found, self._now()))}
            yield from (deliveries[id] for id in ids if id in deliveries and deliveries[id].state == "failed")

    def schedule(self, wake: Wake, at: int) -> None:
        facts = {"application_id": {"S": wake.application_id}, "ttl": {"N": str(at + KEPT_DAYS * _DAY)}}
        self._table.write_many([key(*_due_key(at, wake)) | facts])

    def due(self, now: int) -> list[tuple[int, Wake]]:
        found = parallel(lambda shard: self._due_rows(shard, now), range(_SHARDS))
        return [_wake_of(row) for rows in found for row in rows]

    def queued(self, wakes: Sequence[tuple[int, Wake]]) -> None:
        self._table.write_many(deletes=[_due_key(at, wake) for at, wake in wakes])

    def wait(self, wake: Wake) -> None:
        ttl = {"ttl": {"N": str(int(self._now()) + _DAY)}}
        self._table.write_many([key(_waiting_pk(wake.webhook_id), wake.lane) | ttl])

    def next_waiting(self, webhook_id: str) -> str | None:
        pk = _waiting_pk(webhook_id)
        found = next(self._table.pages(pk, limits=[1]))
        if not found:
            return None
        lane: str = found[0]["sk"]["S"]
        self._table.write_many(deletes=[(pk, lane)])
        return lane

    def stop_waiting(self, webhook_id: str) -> None:
        pk = _waiting_pk(webhook_id)
        for page in self._table.pages(pk, limits=[_PAGE]):
            self._table.write_many(deletes=[(pk, row["sk"]["S"]) for row in page])

    def forget(self, webhook_id: str) -> None:
        self._table.write_many(deletes=[(_lanes_pk(webhook_id), lane.key) for lane in self.lanes(webhook_id)])

    def _index(self, delivery: Delivery) -> None:
        """Enter a failure into its index, before it is stored: an entry too many does no harm."""
        if delivery.state == "failed":
            ttl = {"ttl": {"N": str(delivery.created_at + KEPT_DAYS * _DAY)}}
            self._table.write_many([key(_failed_pk(delivery.webhook_id), delivery.id) | ttl])

    def _due_rows(self, shard: int, now: int) -> list[Item]:
        found: list[Item] = []
        for page in self._table.pages(_due_pk(shard), "0", f"{now + 1:012d}", limits=[_PAGE]):
            found += page
            if len(found) >= _MOST_DUE:
                break
        return found

    def _lane_row(self, lane: Lane) -> Item:
        return key(_lanes_pk(lane.webhook_id), lane.key) | lane_row(lane)

    def _delivery_row(self, delivery: Delivery) -> Item:
        day = date_of(delivery.id) // _DAY
        ttl = {"ttl": {"N": str(delivery.created_at + KEPT_DAYS * _DAY)}}
        return key(_ledger_pk(delivery.webhook_id, day), delivery.id) | delivery_row(delivery) | ttl

    def _done(self, actions: Sequence[Item]) -> bool:
        try:
            transact_patiently(self._table.client, actions)
        except Cancelled:
            return False
        return True

    def _put(self, item: Item, condition: str | None = None, values: Item | None = None) -> Item:
        put: Item = {"TableName": self._table.name, "Item": item}
        if condition:
            put["ConditionExpression"] = condition
        if values:
            put["ExpressionAttributeValues"] = values
        return {"Put": put}


def _unchanged(lane: Lane | None) -> tuple[str, Item | None]:
    if lane is None:
        return "attribute_not_exists(pk)", None
    values = {":t": {"N": str(lane.told)}, ":o": {"S": lane.open}, ":e": {"N": str(lane.epoch)}}
    return "told = :t AND under_way = :o AND epoch = :e", values


def _ours(delivery: Delivery) -> tuple[str, Item]:
    return "attribute_not_exists(pk) OR attempt = :a", {":a": {"N": str(delivery.attempt)}}


def _lanes_pk(webhook_id: str) -> str:
    return f"LANE#{webhook_id}"


def _ledger_pk(webhook_id: str, day: int) -> str:
    return f"WH#{webhook_id}#{day}"


def _failed_pk(webhook_id: str) -> str:
    return f"FAILED#{webhook_id}"


def _waiting_pk(webhook_id: str) -> str:
    return f"WAIT#{webhook_id}"


def _due_pk(shard: int) -> str:
    return f"DUE#{shard}"


def _due_key(at: int, wake: Wake) -> Key:
    shard = zlib.crc32(wake.webhook_id.encode()) % _SHARDS
    return _due_pk(shard), f"{at:012d}#{wake.webhook_id}#{wake.lane}"


def _wake_of(row: Item) -> tuple[int, Wake]:
    at, webhook_id, lane = row["sk"]["S"].split("#", 2)
    return int(at), Wake(webhook_id=webhook_id, application_id=row["application_id"]["S"], lane=lane)
