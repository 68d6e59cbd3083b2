"""DynamoDB's data calls in memory: what our tables use of it, fast enough for thousands of stories.

It counts requests and the capacity they consume, keeps conditions and transactions exactly, and lets
a test step in before and after every request: to meddle, or to die.
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, Any]
_COMPARE = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TERM = re.compile(r"(\w+) (<=|>=|=|<|>) (:\w+)")
_MISSING = re.compile(r"attribute_not_exists\((\w+)\)")


class _Failed(ClientError):  # type: ignore[misc]
    """A condition did not hold."""

    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}, "PutItem")


class _Exceptions:
    ConditionalCheckFailedException = _Failed


class MemoryDynamo:
    """A client of DynamoDB; `before` and `after` are called with the name of each request."""

    exceptions = _Exceptions

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, Item]] = {}
        self.order: dict[tuple[str, str], list[str]] = {}
        self.requests: Counter[str] = Counter()
        self.read_units = 0.0
        self.write_units = 0.0
        self.before: Callable[[str], None] = lambda name: None
        self.after: Callable[[str], None] = lambda name: None

    def get_item(self, TableName: str, Key: Item, ConsistentRead: bool = False) -> Item:
        self._begin("GetItem")
        row = self._row(TableName, Key)
        self._read(_size(row or Key), ConsistentRead)
        self.after("GetItem")
        return {"Item": dict(row)} if row else {}

    def batch_get_item(self, RequestItems: Mapping[str, Item]) -> Item:
        self._begin("BatchGetItem")
        found: dict[str, list[Item]] = {}
        for table, wanted in RequestItems.items():
            for key in wanted["Keys"]:
                row = self._row(table, key)
                self._read(_size(row or key), wanted.get("ConsistentRead", False))
                found.setdefault(table, []).extend([dict(row)] if row else [])
        self.after("BatchGetItem")
        return {"Responses": found, "UnprocessedKeys": {}}

    def query(self, **request: Any) -> Item:
        self._begin("Query")
        table, values = request["TableName"], request["ExpressionAttributeValues"]
        partition = table, values[":p"]["S"]
        order = self.order.get(partition, [])
        low = bisect_left(order, values[":l"]["S"]) if ":l" in values else 0
        high = bisect_left(order, values[":h"]["S"] + "\0") if ":h" in values else len(order)
        keys = order[low:high]
        if not request.get("ScanIndexForward", True):
            keys.reverse()
        if start := request.get("ExclusiveStartKey"):
            keys = keys[keys.index(start["sk"]["S"]) + 1 :]
        limit = request.get("Limit") or len(keys)
        page = [dict(self.rows[partition][sk]) for sk in keys[:limit]]
        self._read(sum(map(_size, page)), request.get("ConsistentRead", False))
        self.after("Query")
        more = len(keys) > limit
        last = {"LastEvaluatedKey": {name: page[-1][name] for name in ("pk", "sk")}} if more else {}
        return {"Items": page, **last}

    def put_item(self, **request: Any) -> Item:
        self._begin("PutItem")
        if not self._holds(request, request["Item"]):
            raise _Failed
        self._put(request["TableName"], request["Item"], 1)
        self.after("PutItem")
        return {}

    def delete_item(self, **request: Any) -> Item:
        self._begin("DeleteItem")
        if not self._holds(request, request["Key"]):
            raise _Failed
        self._delete(request["TableName"], request["Key"])
        self.after("DeleteItem")
        return {}

    def batch_write_item(self, RequestItems: Mapping[str, list[Item]]) -> Item:
        self._begin("BatchWriteItem")
        for table, requests in RequestItems.items():
            for one in requests:
                if "PutRequest" in one:
                    self._put(table, one["PutRequest"]["Item"], 1)
                else:
                    self._delete(table, one["DeleteRequest"]["Key"])
        self.after("BatchWriteItem")
        return {"UnprocessedItems": {}}

    def transact_write_items(self, TransactItems: list[Item]) -> Item:
        self._begin("TransactWriteItems")
        assert len(TransactItems) <= 100
        puts = [action["Put"] for action in TransactItems]
        keys = [(put["TableName"], put["Item"]["pk"]["S"], put["Item"]["sk"]["S"]) for put in puts]
        assert len(set(keys)) == len(keys), "a transaction may touch an item only once"
        held = [self._holds(put, put["Item"]) for put in puts]
        if not all(held):
            codes = ["None" if one else "ConditionalCheckFailed" for one in held]
            error = {"Error": {"Code": "TransactionCanceledException", "Message": ""}}
            reasons = {"CancellationReasons": [{"Code": code} for code in codes]}
            raise ClientError({**error, **reasons}, "TransactWriteItems")
        for put in puts:
            self._put(put["TableName"], put["Item"], 2)
        self.after("TransactWriteItems")
        return {}

    def _begin(self, name: str) -> None:
        self.requests[name] += 1
        self.before(name)

    def _row(self, table: str, key: Item) -> Item | None:
        return self.rows.get((table, key["pk"]["S"]), {}).get(key["sk"]["S"])

    def _put(self, table: str, item: Item, times: int) -> None:
        partition, sk = (table, item["pk"]["S"]), item["sk"]["S"]
        self.write_units += times * -(-_size(item) // 1024)
        rows = self.rows.setdefault(partition, {})
        if sk not in rows:
            insort(self.order.setdefault(partition, []), sk)
        rows[sk] = dict(item)

    def _delete(self, table: str, key: Item) -> None:
        partition, sk = (table, key["pk"]["S"]), key["sk"]["S"]
        self.write_units += 1
        if self.rows.get(partition, {}).pop(sk, None):
            self.order[partition].remove(sk)

    def _read(self, size: int, consistent: bool) -> None:
        self.read_units += max(1, -(-size // 4096)) * (1.0 if consistent else 0.5)

    def _holds(self, request: Item, key: Item) -> bool:
        condition = request.get("ConditionExpression")
        row = self._row(request["TableName"], key) or {}
        values = request.get("ExpressionAttributeValues", {})
        return condition is None or any(
            all(_term(term, row, values) for term in part.split(" AND ")) for part in condition.split(" OR ")
        )


def _term(term: str, row: Item, values: Item) -> bool:
    if missing := _MISSING.fullmatch(term):
        return missing[1] not in row
    compared = _TERM.fullmatch(term)
    assert compared, f"the fake does not know the condition {term!r}"
    name, sign, value = compared.groups()
    if name not in row:
        return False
    [(kind, stored)], [(_, wanted)] = row[name].items(), values[value].items()
    numbers = kind == "N"
    return bool(_COMPARE[sign](int(stored), int(wanted)) if numbers else _COMPARE[sign](stored, wanted))


def _size(item: Item) -> int:
    return sum(len(name) + len(str(next(iter(value.values())))) for name, value in item.items())
