"""Endpoints' circuits: one row each (table `work`), changed only by update expressions.

Attempts and failures of a minute are the numbers `a<minute>` and `f<minute>`, a call under way is
`s<slot>` with the time at which it is given up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.config import Settings
from chalicelib.domain.webhooks.circuit import SLOTS, WINDOW_MINUTES, Circuit
from chalicelib.store.aws.dynamo import Item, Table, key

_DAY = 86400
_KEPT_DAYS = 14
_ENTRIES = 4
_MINUTE = re.compile(r"a([0-9]+)")


class CircuitTable:
    """The port Circuits."""

    def __init__(self, client: Any, settings: Settings) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")

    def get(self, webhook_id: str) -> Circuit:
        return _circuit(self._table.get(*_key(webhook_id)) or {})

    def enter(self, webhook_id: str, seen: Circuit, now: int, until: int) -> int | None:
        for _ in range(_ENTRIES):
            slot = None if seen.resting(now) else seen.free_slot(now)
            if slot is None:
                return None
            if self._take(webhook_id, seen, slot, now, until):
                return slot
            seen = self.get(webhook_id)  # somebody else was faster
        return None

    def accepted(self, webhook_id: str, slot: int, now: int, until: int) -> Circuit:
        update = f"SET s{slot} = :until, #ttl = :ttl ADD a{now // 60} :one"
        update += " REMOVE streak, failing_since, open_until, probe"
        values = {":until": until, ":ttl": now + _KEPT_DAYS * _DAY, ":one": 1}
        return _circuit(self._update(webhook_id, update, values, {"#ttl": "ttl"}))

    def refused(self, webhook_id: str, slot: int, now: int, until: int, rest: int, lane: str) -> Circuit:
        values: dict[str, int | str] = {":until": until, ":ttl": now + _KEPT_DAYS * _DAY, ":one": 1}
        values |= {":now": now, ":lane": lane}
        sets = f"SET s{slot} = :until, #ttl = :ttl, probe = :lane"
        sets += ", failing_since = if_not_exists(failing_since, :now)"
        if rest:
            sets += ", open_until = :rest"
            values[":rest"] = rest
        update = f"{sets} ADD a{now // 60} :one, f{now // 60} :one, streak :one"
        return _circuit(self._update(webhook_id, update, values, {"#ttl": "ttl"}))

    def leave(self, webhook_id: str, slot: int) -> None:
        self._update(webhook_id, f"REMOVE s{slot}", {})

    def reset(self, webhook_id: str) -> None:
        self._table.write_many(deletes=[_key(webhook_id)])

    def _take(self, webhook_id: str, seen: Circuit, slot: int, now: int, until: int) -> bool:
        """Mark a slot that was seen free; minutes that have left the window go with the same write."""
        held = seen.slots.get(slot)
        free = f"attribute_not_exists(s{slot})" if held is None else f"s{slot} = :seen"
        values = {":until": until} | ({} if held is None else {":seen": held})
        old = [minute for minute in seen.minutes if now // 60 - minute >= WINDOW_MINUTES]
        forgotten = ", ".join(f"{kind}{minute}" for minute in old for kind in "af")
        update = f"SET s{slot} = :until" + (f" REMOVE {forgotten}" if old else "")
        try:
            self._update(webhook_id, update, values, condition=free)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _update(
        self,
        webhook_id: str,
        update: str,
        values: Mapping[str, int | str],
        names: dict[str, str] | None = None,
        condition: str | None = None,
    ) -> Item:
        request: Item = {
            "TableName": self._table.name,
            "Key": key(*_key(webhook_id)),
            "UpdateExpression": update,
            "ReturnValues": "ALL_NEW",
        }
        if values:
            request["ExpressionAttributeValues"] = {n: _value(v) for n, v in values.items()}
        if names:
            request["ExpressionAttributeNames"] = names
        if condition:
            request["ConditionExpression"] = condition
        row: Item = self._table.client.update_item(**request)["Attributes"]
        return row


def _key(webhook_id: str) -> tuple[str, str]:
    return f"CIRCUIT#{webhook_id}", "-"


def _value(value: int | str) -> Item:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _circuit(row: Item) -> Circuit:
    numbers = {name: int(value["N"]) for name, value in row.items() if "N" in value}
    minutes = {int(found[1]) for name in numbers if (found := _MINUTE.fullmatch(name))}
    return Circuit(
        minutes={m: (numbers[f"a{m}"], numbers.get(f"f{m}", 0)) for m in minutes},
        streak=numbers.get("streak", 0),
        failing_since=numbers.get("failing_since", 0),
        open_until=numbers.get("open_until", 0),
        probe=row["probe"]["S"] if "probe" in row else "",
        slots={n: numbers[f"s{n}"] for n in range(SLOTS) if f"s{n}" in numbers},
    )
