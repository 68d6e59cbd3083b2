"""Runs in the emulator's environment: one random history, its own Query and ours, the same answers.

.local/emulator-venv/bin/python -m tests.integration.emulator_comparison SEED
"""

from __future__ import annotations

import copy
import json
import random
import sys
from typing import Any

from ministack.services import dynamodb, dynamodb_streams

from infra.emulator import patches

ROUNDS = 1500
SORT_CONDITIONS = (
    "",
    " AND sk = :a",
    " AND #s > :a",
    " AND sk >= :a",
    " AND :a > sk",
    " AND sk < :a",
    " AND sk <= :a",
    " AND sk BETWEEN :a AND :b",
    " AND begins_with(sk, :p)",
    " AND begins_with (#s, :p)",
)
PREFIX_CONDITIONS = 2
PREFIXES = ("a", "b", "aé", "c1", "cz")


class Comparison:
    """A table per type of sort key, written and queried at random."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.plain = dynamodb._query
        patches.apply(dynamodb, dynamodb_streams)
        assert dynamodb._query is not self.plain
        for kind in "SNB":
            keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
            types = [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": kind},
            ]
            wanted = {"TableName": "tab" + kind, "BillingMode": "PAY_PER_REQUEST"}
            dynamodb._create_table({**wanted, "AttributeDefinitions": types, "KeySchema": keys})

    def run(self) -> None:
        """Write and compare many times."""
        for _ in range(ROUNDS):
            kind = self.rng.choice("SSNB")
            self.write(kind)
            self.write(kind)
            self.compare(kind)
        buckets = list(dynamodb._tables["tabS"]["items"].values())
        indexed = [bucket for bucket in buckets if isinstance(bucket, patches.Partition)]
        assert indexed
        for bucket in indexed:
            assert sorted(key for _, key in bucket.order) == sorted(bucket)
        snapshot = dynamodb.get_state()["tables"].get("tabS")["items"]
        assert json.loads(json.dumps(snapshot)) == dynamodb._tables["tabS"]["items"]

    def sort_key(self, kind: str) -> dict[str, str]:
        """Return a sort key from a small world, so that keys meet again."""
        rng = self.rng
        if kind == "S":
            odd = rng.choice(("", "é", "z", "\U0001f600"))
            return {"S": f"{rng.choice('abc')}{odd}{rng.randrange(60)}"}
        if kind == "N":
            # The emulator takes 1 and 1.0 for two keys, so each number is written in one way.
            return {"N": f"{rng.randrange(-40, 40) / rng.choice((1, 2, 4)):g}"}
        return {"B": rng.choice(("YQ==", "YWI=", "/w==", "YWJj", "AAE=", "gA=="))}

    def write(self, kind: str) -> None:
        """Change one item in one of the ways there are."""
        rng, name = self.rng, "tab" + kind
        key = {"pk": {"S": rng.choice("PQ")}, "sk": self.sort_key(kind)}
        size = rng.choice((1, 10, 9000, 300000)) if rng.random() < 0.1 else rng.choice((1, 10))
        item = {**key, "x": {"S": "y" * size}}
        other = {"pk": {"S": "Q" if key["pk"]["S"] == "P" else "P"}, "sk": self.sort_key(kind)}
        request: dict[str, Any] = {"TableName": name, "Key": key}
        changes = {"UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": {"S": "u"}}}
        items = [
            {"Put": {"TableName": name, "Item": item}},
            {"Delete": {"TableName": name, "Key": other}},
        ]
        step = rng.randrange(7)
        if step < 2:
            self.fine(dynamodb._put_item({"TableName": name, "Item": item}))
        elif step == 2:
            self.fine(dynamodb._delete_item(request))
        elif step == 3:
            self.fine(dynamodb._update_item({**request, **changes}))
        elif step == 4:
            batch = {"RequestItems": {name: [{"PutRequest": {"Item": item}}]}}
            self.fine(dynamodb._batch_write_item(batch))
        elif step == 5:
            self.fine(dynamodb._transact_write_items({"TransactItems": items}))
        else:  # what the sweep of expired items does
            live = dynamodb._tables[name]
            for expired in list(live["items"].get("P", {}))[:1]:
                dynamodb._remove_item(live, "P", expired)

    @staticmethod
    def fine(answer: Any) -> None:
        """Insist that a write was accepted."""
        assert answer[0] == 200, answer

    def question(self, kind: str) -> dict[str, Any]:
        """Return a random Query."""
        rng = self.rng
        end = len(SORT_CONDITIONS) if kind == "S" else -PREFIX_CONDITIONS
        condition = rng.choice(SORT_CONDITIONS[:end])
        bounds = sorted(
            (self.sort_key(kind), self.sort_key(kind)), key=lambda v: dynamodb._sort_key_value(v, kind)
        )
        values = {":k": {"S": rng.choice("PQR")}}
        candidates = {":a": bounds[0], ":b": bounds[1], ":p": {"S": rng.choice(PREFIXES)}}
        values |= {name: value for name, value in candidates.items() if name in condition}
        data: dict[str, Any] = {
            "TableName": "tab" + kind,
            "KeyConditionExpression": rng.choice(("{}", "({})")).format("pk = :k" + condition),
            "ExpressionAttributeValues": values,
            "ScanIndexForward": rng.random() < 0.5,
        }
        if "#s" in condition:
            data["ExpressionAttributeNames"] = {"#s": "sk"}
        if rng.random() < 0.6:
            data["Limit"] = rng.choice((1, 2, 3, 7, 50))
        if rng.random() < 0.2:
            data["ExclusiveStartKey"] = {"pk": values[":k"], "sk": self.sort_key(kind)}
        if rng.random() < 0.2:
            data["FilterExpression"] = "x = :f"
            values[":f"] = {"S": "u"}
        return data

    def compare(self, kind: str) -> None:
        """Ask both, page after page."""
        data = self.question(kind)
        for _ in range(4):
            theirs, ours = _read(self.plain(copy.deepcopy(data))), _read(dynamodb._query(copy.deepcopy(data)))
            assert theirs == ours, json.dumps([data, _keys(theirs), _keys(ours)])
            if "LastEvaluatedKey" not in theirs[1]:
                return
            data["ExclusiveStartKey"] = theirs[1]["LastEvaluatedKey"]


def _read(answer: Any) -> tuple[int, dict[str, Any]]:
    return answer[0], json.loads(answer[2])


def _keys(answer: tuple[int, dict[str, Any]]) -> Any:
    items = answer[1].get("Items", ())
    return [answer[0], [item["sk"] for item in items], answer[1].get("LastEvaluatedKey")]


if __name__ == "__main__":
    Comparison(int(sys.argv[1])).run()
