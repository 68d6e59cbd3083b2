import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chalicelib import memory
from chalicelib.domain.jobs import SYNC, SyncAccount, SyncJob, dump
from chalicelib.workers.batch import each_group, each_record


def queued(*bodies: str) -> dict[str, Any]:
    return {"Records": [{"messageId": f"m{n}", "body": body} for n, body in enumerate(bodies)]}


def job(account_id: str) -> str:
    return json.dumps(dump(SyncAccount(account_id=account_id)))


def streamed(*records: tuple[str, int]) -> dict[str, Any]:
    return {
        "Records": [
            {"account": account, "value": value, "dynamodb": {"SequenceNumber": f"s{n}"}}
            for n, (account, value) in enumerate(records)
        ]
    }


def parse(record: Mapping[str, Any]) -> tuple[str, int] | None:
    if record["value"] < 0:
        raise ValueError(record["value"])
    return (record["account"], record["value"]) if record["value"] else None


def failed(answer: Any) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_what_is_here_after_the_first_call_is_collected_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.settle.cache_clear()
    frozen: list[bool] = []
    monkeypatch.setattr("gc.freeze", lambda: frozen.append(True))
    for _ in range(3):
        each_record(queued(job("a")), SYNC, lambda job, received: None)
    assert frozen == [True]


def test_only_the_messages_that_failed_come_back() -> None:
    seen: list[str] = []

    def handle(job: SyncJob, received: int) -> None:
        if job.account_id == "bad":
            raise OSError(job.account_id)
        seen.append(job.account_id)

    event = queued(job("a"), job("bad"), "no json", '{"n": 1}', job("b"))
    assert failed(each_record(event, SYNC, handle)) == ["m1", "m2", "m3"]
    assert seen == ["a", "b"]


def test_records_are_grouped_by_account_in_order() -> None:
    seen: dict[str, Sequence[int]] = {}
    answer = each_group(streamed(("a", 1), ("b", 2), ("a", 0), ("a", 3)), parse, seen.__setitem__)
    assert failed(answer) == []
    assert seen == {"a": [1, 3], "b": [2]}


def test_the_earliest_failure_is_named_and_other_accounts_go_on() -> None:
    seen: list[str] = []

    def handle(account: str, values: Sequence[int]) -> None:
        if account != "c":
            raise OSError(account)
        seen.append(account)

    answer = each_group(streamed(("c", 1), ("b", 1), ("a", 1), ("b", 2), ("c", 2)), parse, handle)
    assert failed(answer) == ["s1"]
    assert seen == ["c"]


def test_an_unreadable_record_stops_the_batch_there() -> None:
    seen: dict[str, Sequence[int]] = {}
    answer = each_group(streamed(("a", 1), ("a", -1), ("b", 2)), parse, seen.__setitem__)
    assert failed(answer) == ["s1"]
    assert seen == {"a": [1]}


def test_a_handler_is_told_that_a_message_came_before() -> None:
    seen: list[tuple[str, int]] = []
    event = queued(job("a"), job("b"))
    event["Records"][1]["attributes"] = {"ApproximateReceiveCount": "3"}
    each_record(event, SYNC, lambda job, received: seen.append((job.account_id, received)))
    assert seen == [("a", 1), ("b", 3)]
