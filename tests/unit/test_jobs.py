"""Jobs and their JSON: what the version before has queued is read, and it could read what this one queues."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from chalicelib.domain.jobs import (
    BACKFILL,
    DELIVERIES,
    EDITS,
    SYNC,
    ApplyEdits,
    CompareAccount,
    FetchHistory,
    FileSentMail,
    Job,
    Queue,
    QueuedEdit,
    RetryMessage,
    SyncAccount,
    UnknownJob,
    Wake,
    dump,
    load,
    only_queue,
)
from chalicelib.domain.remote import Flags, RemoteId

MARKED = QueuedEdit(collection="INBOX", item=RemoteId("7.0001"), add=Flags("fs"), remove=Flags(""))
MOVED = QueuedEdit(
    collection="Entwürfe",
    item=RemoteId(""),
    message_id="<a@b>",
    add=Flags(""),
    remove=Flags("s"),
    move_to="Bin",
)
LABELLED = QueuedEdit(
    collection="All", item=RemoteId("1.5"), add=Flags(""), remove=Flags(""),
    add_labels=("Taxes", "x"), remove_labels=(),
)  # fmt: skip

WIRE: list[tuple[Queue[Any], Job, str]] = [
    (SYNC, SyncAccount(account_id="a"), '{"account_id":"a"}'),
    (SYNC, CompareAccount(account_id="a"), '{"account_id":"a","repair":1}'),
    (SYNC, CompareAccount(account_id="a", settled=450), '{"account_id":"a","repair":1,"settled":450}'),
    (SYNC, CompareAccount(account_id="a", settled=0), '{"account_id":"a","repair":1,"settled":0}'),
    (SYNC, RetryMessage(account_id="a", entry_id="e"), '{"account_id":"a","quarantine":"e"}'),
    (BACKFILL, FetchHistory(account_id="a"), '{"account_id":"a"}'),
    (EDITS, ApplyEdits(account_id="a", edits=()), '{"account_id":"a","edits":"[]"}'),
    (
        EDITS,
        ApplyEdits(account_id="a", edits=(MARKED, MOVED)),
        r'{"account_id":"a","edits":"[{\"collection\": \"INBOX\", \"item\": \"7.0001\", \"add\": \"fs\", '
        r"\"remove\": \"\", \"move_to\": null}, "
        r"{\"collection\": \"Entw\\u00fcrfe\", \"item\": \"\", \"message_id\": \"<a@b>\", \"add\": \"\", "
        r'\"remove\": \"s\", \"move_to\": \"Bin\"}]"}',
    ),
    (
        EDITS,
        ApplyEdits(account_id="a", edits=(LABELLED,)),
        r'{"account_id":"a","edits":"[{\"collection\": \"All\", \"item\": \"1.5\", \"add\": \"\", '
        r"\"remove\": \"\", \"move_to\": null, \"add_labels\": [\"Taxes\", \"x\"], "
        r'\"remove_labels\": []}]"}',
    ),
    (
        EDITS,
        FileSentMail(account_id="a", key="raw/a/n", length=12, at=1_700_000_000),
        '{"account_id":"a","sent":"raw/a/n","length":12,"at":1700000000}',
    ),
    (
        DELIVERIES,
        Wake(webhook_id="w", application_id="p", lane="a#r"),
        '{"webhook_id":"w","application_id":"p","lane":"a#r"}',
    ),
    (
        DELIVERIES,
        Wake(webhook_id="w", application_id="p", lane=""),
        '{"webhook_id":"w","application_id":"p","lane":""}',
    ),
]


def edits(*some: Any) -> dict[str, Any]:
    return {"account_id": "a", "edits": json.dumps(some)}


EDIT = {"collection": "INBOX", "item": "7.1", "add": "", "remove": "", "move_to": None}


@pytest.mark.parametrize(("queue", "job", "wire"), WIRE)
def test_a_job_is_written_and_read_as_it_always_was(queue: Queue[Any], job: Job, wire: str) -> None:
    assert json.dumps(dump(job), separators=(",", ":")) == wire
    assert load(queue, json.loads(wire)) == job
    assert only_queue([job]) == queue


def test_the_json_of_every_type_of_job_is_held_here() -> None:
    assert {type(job) for _, job, _ in WIRE} == set(get_args(Job))


@pytest.mark.parametrize(
    ("queue", "body"),
    [
        (SYNC, {}),
        (SYNC, []),
        (SYNC, "a"),
        (SYNC, None),
        (SYNC, {"account_id": 1}),
        (SYNC, {"account_id": "a", "n": 1}),
        (SYNC, {"account_id": "a", "repair": 0}),
        (SYNC, {"account_id": "a", "settled": 450}),
        (SYNC, {"account_id": "a", "repair": 1, "settled": "450"}),
        (SYNC, {"account_id": "a", "repair": 1, "quarantine": "e"}),
        (BACKFILL, {"account_id": "a", "repair": 1}),
        (EDITS, {"account_id": "a"}),
        (EDITS, {"account_id": "a", "edits": []}),
        (EDITS, {"account_id": "a", "edits": "no json"}),
        (EDITS, {"account_id": "a", "edits": "1"}),
        (EDITS, edits("x")),
        (EDITS, edits({})),
        (EDITS, edits(EDIT | {"item": ""})),
        (EDITS, edits(EDIT | {"add": None})),
        (EDITS, edits(EDIT | {"unheard_of": 1})),
        (EDITS, edits(EDIT | {"add_labels": 1})),
        (EDITS, {"account_id": "a", "sent": "raw/a/n"}),
        (DELIVERIES, {"webhook_id": "w", "application_id": "p"}),
        (Queue("nobody"), {"account_id": "a"}),
    ],
)
def test_what_no_version_has_written_is_refused(queue: Queue[Any], body: Any) -> None:
    with pytest.raises(UnknownJob):
        load(queue, body)


def test_a_refusal_names_the_queue_and_the_fields_and_quotes_no_value() -> None:
    with pytest.raises(UnknownJob, match=r"^The queue sync has no job of the form account_id, n\.$"):
        load(SYNC, {"account_id": "secret", "n": "secret"})


def test_jobs_of_two_queues_do_not_leave_together() -> None:
    with pytest.raises(ValueError, match="unpack"):
        only_queue([SyncAccount(account_id="a"), FetchHistory(account_id="a")])
