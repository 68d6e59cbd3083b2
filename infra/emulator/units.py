"""Counts the capacity units that AWS would bill for the requests to the emulator's DynamoDB.

The emulator's own ConsumedCapacity says nothing of the size of what is read, of condition checks and of
refused writes, so the units are computed here by DynamoDB's published rule: a write costs one unit per
begun KB of the larger of old and new item, twice that in a transaction, also when its condition fails;
a read costs one unit per begun 4 KB, half of that if it need not be consistent. Items are rounded up one by
one, a Query as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

PATH = "/_postern/units"
_READ_BLOCK, _WRITE_BLOCK = 4096, 1024
_BILLED_REFUSALS = ("ConditionalCheckFailedException", "TransactionCanceledException")
_READS = frozenset({"GetItem", "BatchGetItem", "Query"})
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
_UNSEEN = ("FilterExpression", "ProjectionExpression", "IndexName", "Select")

Json = Mapping[str, Any]
Target = tuple[str, Json]  # a table and an item's key (or the whole item)


class Meter:
    """Stands before the emulator's DynamoDB; `totals` are units by table and kind since the start."""

    def __init__(self, dynamodb: ModuleType) -> None:
        self._dynamodb = dynamodb
        self.totals: dict[str, dict[str, float]] = {}

    async def handle(self, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        """Serve one request as the emulator does, and count it."""
        action = headers["x-amz-target"].rpartition(".")[2]
        request: Json = json.loads(body) if action in _COUNTED else {}
        touched = written(action, request)
        before = [self._size(target) for target in touched]
        answer = await self._dynamodb.handle_request(method, path, headers, body, query)
        if answer[0] == 200 and action in _READS:
            self._count_reads(action, request, answer[2])
        elif touched and (answer[0] == 200 or _is_billed(answer[2])):
            factor = 2 if action == "TransactWriteItems" else 1
            for target, size in zip(touched, before, strict=True):
                units = factor * blocks(max(size, self._size(target)), _WRITE_BLOCK)
                self._add(target[0], "write", units)
        return answer

    def _count_reads(self, action: str, request: Json, answer: bytes | str) -> None:
        if action == "Query":
            if any(name in request for name in _UNSEEN):
                raise RuntimeError("What this Query has read cannot be seen from its answer.")
            size = sum(map(self._dynamodb._item_size_bytes, json.loads(answer)["Items"]))
            self._add_read(request["TableName"], size, request)
            return
        for target, asked in _read(action, request):
            self._add_read(target[0], self._size(target), asked)

    def _add_read(self, table: str, size: int, asked: Json) -> None:
        self._add(table, "read", blocks(size, _READ_BLOCK) * (1.0 if asked.get("ConsistentRead") else 0.5))

    def _add(self, table: str, kind: str, units: float) -> None:
        total = self.totals.setdefault(table, {"read": 0.0, "write": 0.0})
        total[kind] += units

    def _size(self, target: Target) -> int:
        table = self._dynamodb._tables.get(target[0])
        item = table and self._dynamodb._get_item_by_key(table, target[1])
        return int(self._dynamodb._item_size_bytes(item)) if item else 0


def written(action: str, request: Json) -> list[Target]:
    """Return the items that a request writes or checks."""
    if action in _WRITES:
        return [(request["TableName"], request.get("Item") or request["Key"])]
    if action == "BatchWriteItem":
        changes = ((table, one) for table, some in request["RequestItems"].items() for one in some)
        return [(table, change.get("Item") or change["Key"]) for table, change in _inner(changes)]
    if action == "TransactWriteItems":
        parts = [part for one in request["TransactItems"] for part in one.values()]
        return [(part["TableName"], part.get("Item") or part["Key"]) for part in parts]
    return []


def blocks(size: int, block: int) -> int:
    """Return how many blocks are billed; nothing at all costs one."""
    return max(1, -(-size // block))


def _read(action: str, request: Json) -> list[tuple[Target, Json]]:
    if action == "GetItem":
        return [((request["TableName"], request["Key"]), request)]
    items = request["RequestItems"].items()
    return [((table, key), asked) for table, asked in items for key in asked["Keys"]]


def _inner(changes: Iterable[tuple[str, Json]]) -> Iterable[tuple[str, Json]]:
    return ((table, part) for table, change in changes for part in change.values())


def _is_billed(answer: bytes | str) -> bool:
    return str(json.loads(answer).get("__type", "")).endswith(_BILLED_REFUSALS)


_COUNTED = _READS | _WRITES | {"BatchWriteItem", "TransactWriteItems"}
