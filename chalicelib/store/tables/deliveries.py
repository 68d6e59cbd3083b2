"""Webhook notifications under way, and how far each endpoint has been told (table `work`).

A pending delivery has a row in one of eight due partitions, sorted by time; both change in one
transaction.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.store.dynamo import Cancelled, Item, Key, Table, key, parallel, transact_patiently
from chalicelib.store.ports import Delivery
from chalicelib.store.tables.rows import live

_SHARDS = 8
_MOST_DUE = 100
_KEPT = 14 * 86400


class DeliveryTable:
    """Every step is conditional, so a repeated signal changes nothing."""

    def __init__(self, client: Any, settings: Settings, now: Clock = time.time) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")
        self._now = now

    def pointer(self, webhook_id: str, account_id: str) -> int | None:
        """Return the last sequence number handed to this endpoint, None before the first."""
        row = self._table.get(*_pointer_key(webhook_id, account_id))
        return int(row["seq"]["N"]) if row else None

    def begin(
        self,
        delivery: Delivery | None,
        webhook_id: str,
        account_id: str,
        told: int | None,
        now_told: int,
    ) -> bool:
        """Store a delivery (if any) and move the pointer from `told` in one transaction.

        False if the pointer stood elsewhere: somebody else did it.
        """
        pointer = key(*_pointer_key(webhook_id, account_id)) | {"seq": {"N": str(now_told)}}
        if told is None:
            actions = [self._put(pointer, "attribute_not_exists(pk)")]
        else:
            actions = [self._put(pointer, "seq = :t", {":t": {"N": str(told)}})]
        if delivery:
            actions += [self._put(_row(delivery)), self._put(key(*_due_key(delivery)))]
        return self._done_by_us(actions)

    def get(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        """Return a delivery that is still kept."""
        account_id, _, first_seq = delivery_id.rpartition("-")
        if not first_seq.isdecimal():
            return None
        row = self._table.get(*_delivery_key(webhook_id, account_id, int(first_seq)))
        return _delivery_of(row) if row and live([row], self._now()) else None

    def claim(self, delivery: Delivery, until: int) -> Delivery | None:
        """Count one attempt (conditional on `attempt`) and hold the delivery until then; None if taken."""
        claimed = replace(delivery, attempt=delivery.attempt + 1, due_at=until)
        return claimed if self._change(delivery, claimed) else None

    def retry(self, delivery: Delivery, due_at: int) -> None:
        """Plan the next attempt; nothing happens if somebody else has claimed the delivery meanwhile."""
        self._change(delivery, replace(delivery, due_at=due_at, state="pending"))

    def fail(self, delivery: Delivery) -> None:
        """Give up; kept for 14 days."""
        self._change(delivery, replace(delivery, due_at=int(self._now()), state="failed"))

    def done(self, delivery: Delivery) -> None:
        """Forget a delivery that was accepted."""
        where = _delivery_key(delivery.webhook_id, delivery.account_id, delivery.first_seq)
        self._table.write_many(deletes=[where, _due_key(delivery)])

    def due(self, now: int) -> list[Delivery]:
        """Return deliveries whose time has come, up to a hundred per partition."""
        found = parallel(lambda shard: self._due_rows(shard, now), range(_SHARDS))
        deliveries: list[Delivery] = []
        for rows in found:
            deliveries += self._confirmed(rows)
        return deliveries

    def _due_rows(self, shard: int, now: int) -> list[Key]:
        pages = self._table.pages(_due_pk(shard), "0", f"{now + 1:012d}", limits=[_MOST_DUE])
        return [(row["pk"]["S"], row["sk"]["S"]) for row in next(pages)]

    def _confirmed(self, due: Sequence[Key]) -> list[Delivery]:
        """Deliveries that are indeed due then; other rows were left by a late `done` and are removed."""
        wanted = {where: _delivery_key_of(where[1]) for where in due}
        stored = self._table.get_many(wanted.values())
        deliveries = [_delivery_of(row) for row in live(stored, self._now())]
        pending = {_due_key(d): d for d in deliveries if d.state == "pending"}
        self._table.write_many(deletes=[where for where in due if where not in pending])
        return [pending[where] for where in due if where in pending]

    def _change(self, old: Delivery, new: Delivery) -> bool:
        same_attempt = {":a": {"N": str(old.attempt)}, ":d": {"N": str(old.due_at)}}
        actions = [self._put(_row(new), "attempt = :a AND due_at = :d", same_attempt)]
        gone, planned = _due_key(old), _due_key(new)
        if new.state != "pending" or gone != planned:
            actions.append({"Delete": {"TableName": self._table.name, "Key": key(*gone)}})
        if new.state == "pending" and (gone != planned or old.state != "pending"):
            actions.append(self._put(key(*planned)))
        return self._done_by_us(actions)

    def _done_by_us(self, actions: Sequence[Item]) -> bool:
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


def _pointer_key(webhook_id: str, account_id: str) -> Key:
    return f"PTR#{webhook_id}", account_id


def _delivery_key(webhook_id: str, account_id: str, first_seq: int) -> Key:
    return f"WH#{webhook_id}", f"{account_id}#{first_seq:016d}"


def _due_pk(shard: int) -> str:
    return f"DUE#{shard}"


def _due_key(delivery: Delivery) -> Key:
    shard = zlib.crc32(delivery.webhook_id.encode()) % _SHARDS
    place = f"{delivery.webhook_id}#{delivery.account_id}#{delivery.first_seq:016d}"
    return _due_pk(shard), f"{delivery.due_at:012d}#{place}"


def _delivery_key_of(due_sk: str) -> Key:
    _, webhook_id, account_id, first_seq = due_sk.split("#")
    return _delivery_key(webhook_id, account_id, int(first_seq))


def _row(delivery: Delivery) -> Item:
    numbers = {
        "first_seq": delivery.first_seq,
        "last_seq": delivery.last_seq,
        "attempt": delivery.attempt,
        "due_at": delivery.due_at,
        "ttl": delivery.due_at + _KEPT,
    }
    texts = {
        "webhook_id": delivery.webhook_id,
        "application_id": delivery.application_id,
        "account_id": delivery.account_id,
        "st": delivery.state,
    }
    where = key(*_delivery_key(delivery.webhook_id, delivery.account_id, delivery.first_seq))
    return where | {n: {"N": str(v)} for n, v in numbers.items()} | {n: {"S": v} for n, v in texts.items()}


def _delivery_of(row: Item) -> Delivery:
    return Delivery(
        webhook_id=row["webhook_id"]["S"],
        application_id=row["application_id"]["S"],
        account_id=row["account_id"]["S"],
        first_seq=int(row["first_seq"]["N"]),
        last_seq=int(row["last_seq"]["N"]),
        attempt=int(row["attempt"]["N"]),
        due_at=int(row["due_at"]["N"]),
        state=row["st"]["S"],
    )
