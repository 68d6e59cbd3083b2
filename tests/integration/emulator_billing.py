"""Runs in the emulator's environment: what requests cost, against sums done by hand.

.local/emulator-venv/bin/python -m tests.integration.emulator_billing
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ministack.services import dynamodb

from infra.emulator.units import Meter

KEYS = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
TYPES = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
TABLE = "table"


class Bill:
    """A table of items of known sizes; each request's units are compared."""

    def __init__(self) -> None:
        dynamodb._create_table(
            {
                "TableName": TABLE,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": TYPES,
                "KeySchema": KEYS,
            }
        )
        self.meter = Meter(dynamodb)

    def costs(
        self, action: str, request: Any, *, read: float = 0, write: float = 0, status: int = 200
    ) -> None:
        """Send a request; insist on its status and its units."""
        before = dict(self.meter.totals.get(TABLE, {"read": 0, "write": 0}))
        headers = {"x-amz-target": f"DynamoDB_20120810.{action}"}
        answer = asyncio.run(self.meter.handle("POST", "/", headers, json.dumps(request).encode(), {}))
        after = self.meter.totals.get(TABLE, {"read": 0, "write": 0})
        found = (answer[0], after["read"] - before["read"], after["write"] - before["write"])
        assert found == (status, read, write), (action, found, answer[2])

    def writes(self) -> None:
        """Single writes: the larger of old and new item, refusals included."""
        self.costs("PutItem", {"TableName": TABLE, "Item": item("a", 1000)}, write=1)
        self.costs("PutItem", {"TableName": TABLE, "Item": item("b", 1025)}, write=2)
        self.costs("PutItem", {"TableName": TABLE, "Item": item("b", 3000)}, write=3)
        self.costs("PutItem", {"TableName": TABLE, "Item": item("b", 100)}, write=3)
        update = {"UpdateExpression": "SET y = :y", "ExpressionAttributeValues": {":y": {"S": "y" * 999}}}
        self.costs("UpdateItem", {"TableName": TABLE, "Key": key("b"), **update}, write=2)
        refused = {"ConditionExpression": "attribute_not_exists(pk)", "TableName": TABLE}
        self.costs("PutItem", {**refused, "Item": item("b", 9000)}, write=2, status=400)
        self.costs("PutItem", {"TableName": "none", "Item": item("b", 1)}, status=400)
        self.costs("DeleteItem", {"TableName": TABLE, "Key": key("absent")}, write=1)

    def batches(self) -> None:
        """Item by item."""
        puts: list[Any] = [{"PutRequest": {"Item": item(f"c{n}", 1500)}} for n in range(3)]
        deletes: list[Any] = [{"DeleteRequest": {"Key": key("a")}}]
        self.costs("BatchWriteItem", {"RequestItems": {TABLE: puts + deletes}}, write=7)
        wanted = [key("c0"), key("c1"), key("absent")]
        self.costs("BatchGetItem", {"RequestItems": {TABLE: {"Keys": wanted}}}, read=1.5)
        consistent = {"Keys": wanted, "ConsistentRead": True}
        self.costs("BatchGetItem", {"RequestItems": {TABLE: consistent}}, read=3)

    def transactions(self) -> None:
        """Twice, with condition checks and cancelled ones."""
        put = {"Put": {"TableName": TABLE, "Item": item("d", 2000)}}
        check = {"TableName": TABLE, "Key": key("c0"), "ConditionExpression": "attribute_exists(pk)"}
        self.costs("TransactWriteItems", {"TransactItems": [put, {"ConditionCheck": check}]}, write=8)
        check = {**check, "ConditionExpression": "attribute_not_exists(pk)"}
        cancelled = [{"Put": {"TableName": TABLE, "Item": item("e", 2000)}}, {"ConditionCheck": check}]
        self.costs("TransactWriteItems", {"TransactItems": cancelled}, write=6, status=400)

    def reads(self) -> None:
        """One item by itself, a page of a Query as a whole."""
        self.costs("PutItem", {"TableName": TABLE, "Item": item("f", 5000)}, write=5)
        self.costs("GetItem", {"TableName": TABLE, "Key": key("f")}, read=1)
        self.costs("GetItem", {"TableName": TABLE, "Key": key("f"), "ConsistentRead": True}, read=2)
        self.costs("GetItem", {"TableName": TABLE, "Key": key("absent")}, read=0.5)
        page = {
            "TableName": TABLE,
            "KeyConditionExpression": "pk = :p AND begins_with(sk, :s)",
            "ExpressionAttributeValues": {":p": {"S": "p"}, ":s": {"S": "c"}},
        }
        self.costs("Query", page, read=1)  # three times 1,500 bytes are two blocks
        self.costs("Query", {**page, "ConsistentRead": True, "Limit": 2}, read=1)


def key(sort: str) -> dict[str, Any]:
    """Return the key of an item."""
    return {"pk": {"S": "p"}, "sk": {"S": sort}}


def item(sort: str, size: int) -> dict[str, Any]:
    """Return an item of exactly that many bytes."""
    names_and_keys = len("pk" + "p" + "sk" + sort + "x")
    return {**key(sort), "x": {"S": "x" * (size - names_and_keys)}}


if __name__ == "__main__":
    bill = Bill()
    bill.writes()
    bill.batches()
    bill.transactions()
    bill.reads()
