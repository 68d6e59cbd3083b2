"""Runs in the emulator's environment: its own checks of values and the short ways, the same answers.

.local/emulator-venv/bin/python -m tests.integration.emulator_values_comparison SEED
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from ministack.services import dynamodb

from infra.emulator import values as emulator_values

ROUNDS = 20_000
TEXTS = ("", "a", "é", "\U0001f600", "x" * 255, "ü" * 257, "x" * 1025, "z" * 3000)
NUMBERS = (
    *(
        "0",
        "7",
        "10",
        "1795334019",
        "100200",
        "123000",
        "9" * 37,
        "9" * 38,
        "9" * 39,
        "1" + "0" * 36,
        "-5",
        "007",
    ),
    *("1.50", "1e3", "1E-130", "1E126", "", " 5", "5 ", "1_000", "٣", "²", "abc", "+4", ".5", "5."),
)
BINARIES = ("", "YQ==", "YWI=", "YWJj", "YWJ", "Y=Q=", "!!", "A" * 4000, "é")
ODD: tuple[Any, ...] = (
    {},
    {"S": None},
    {"S": 5},
    {"N": 5},
    {"B": 7},
    {"BOOL": 1},
    {"BOOL": "true"},
    {"NULL": True},
    {"NULL": False},
    {"X": "y"},
    {"S": "a", "N": "1"},
    {"SS": ["a", "b"]},
    {"SS": ["a", "a"]},
    {"NS": ["1", "1.0"]},
    {"BS": ["YQ=="]},
    {"L": [{"S": "a"}, {"N": "x"}]},
    {"M": {"k": {"N": "12"}}},
    None,
    "text",
)
SCHEMAS = (("pk", "sk"), ("pk", None))


def value(rng: random.Random) -> Any:
    """Return an attribute value, most often a plain one."""
    kind = rng.choice("SSSNNNBBTO")
    if kind == "O":
        return copy.deepcopy(rng.choice(ODD))
    if kind == "T":
        return {"BOOL": rng.random() < 0.5}
    return {kind: rng.choice({"S": TEXTS, "N": NUMBERS, "B": BINARIES}[kind])}


def item(rng: random.Random) -> Any:
    """Return an item, now and then without its keys, with others, or too large."""
    if rng.random() < 0.01:
        return rng.choice((None, [], "item"))
    names = [name for name in ("pk", "sk") if rng.random() < 0.95]
    made = {name: {"S": rng.choice(TEXTS)} if rng.random() < 0.8 else value(rng) for name in names}
    made |= {rng.choice(("a", "bb", "é", "")): value(rng) for _ in range(rng.randrange(4))}
    if rng.random() < 0.02:
        made["large"] = {"S": "x" * rng.choice((409_590, 409_600, 409_601, 500_000))}
    return made


def outcome(function: Any, *arguments: Any) -> Any:
    """Return what a function answers or raises, and what it makes of its arguments."""
    given = copy.deepcopy(arguments)
    try:
        answer = function(*given)
    except Exception as error:
        return type(error), given
    return answer, given


def nothing_is_remembered_after_a_write() -> None:
    """What was measured belongs to one write: an item may be another one later."""
    name = {"TableName": "table"}
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
    types = [{"AttributeName": "pk", "AttributeType": "S"}]
    dynamodb._create_table(
        {**name, "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": types, "KeySchema": keys}
    )
    one = {"pk": {"S": "a"}}
    change = {"UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": {"S": "u"}}}
    writes = {
        "_put_item": {**name, "Item": one},
        "_update_item": {**name, "Key": one, **change},
        "_batch_write_item": {"RequestItems": {"table": [{"PutRequest": {"Item": one}}]}},
        "_transact_write_items": {"TransactItems": [{"Put": {**name, "Item": one}}]},
    }
    for write, data in writes.items():
        assert getattr(dynamodb, write)(data)[0] == 200, write
        assert not emulator_values.measured, write


def main(seed: int) -> None:
    """Compare many times."""
    rng = random.Random(seed)
    usual = SimpleNamespace(**{name: getattr(dynamodb, name) for name in emulator_values.QUICK})
    emulator_values.apply(dynamodb)
    plain = 0
    for _ in range(ROUNDS):
        one = item(rng)
        plain += emulator_values.plain_item_size(one) >= 0
        pk, sk = rng.choice(SCHEMAS)
        types = [{"AttributeName": name, "AttributeType": rng.choice("SSSN")} for name in (pk, sk) if name]
        table: Mapping[str, Any] = {"pk_name": pk, "sk_name": sk, "AttributeDefinitions": types}
        calls: dict[str, tuple[Any, ...]] = {
            "_item_size_bytes": (one,),
            "_validate_item": (one, pk, sk),
            "_values_error_response": (
                list(one.values()) if isinstance(one, dict) else [],
                rng.random() < 0.5,
            ),
            "_resolve_table_key_values": (table, one, rng.random() < 0.5),
        }
        assert set(calls) == set(emulator_values.QUICK)
        for name, arguments in calls.items():
            theirs, ours = (outcome(getattr(some, name), *arguments) for some in (usual, dynamodb))
            assert theirs == ours, (name, arguments, theirs, ours)
        emulator_values.forget()
    nothing_is_remembered_after_a_write()
    assert ROUNDS / 5 < plain < ROUNDS * 4 / 5, plain


if __name__ == "__main__":
    main(int(sys.argv[1]))
