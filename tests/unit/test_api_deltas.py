"""/delta as clients call it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice, repeat
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from chalice.app import Request
from chalice.test import Client

from app import app as APP
from chalicelib import bounds
from chalicelib.api.deltas import streaming
from chalicelib.api.deltas.kinds import BY_KIND
from chalicelib.config import Settings
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.log.delta import KINDS, Change, Operation
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Place
from chalicelib.domain.remote import RemoteId
from chalicelib.services import Services, use
from chalicelib.store.values import MailChanges, Revised
from chalicelib.sync.mail.sent import record_sent
from tests.fakes.services import MemoryServices

FIRST = 1671100000
ACCOUNT = Account(
    id="acc", application_id="app", email_address="mira@kestrel.example", name="Mira", provider="imap",
    state=SyncState.RUNNING, linked_at=FIRST + 1, scopes="email", history_days=30,
)  # fmt: skip
Call = Callable[..., tuple[int, Any]]


def mail(number: int, sender: str) -> bytes:
    return (
        f"From: {sender}\r\nTo: mira@kestrel.example\r\nSubject: Survey {number}\r\n"
        f"Message-ID: <{number}@harbour.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n"
        "--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n1\r\n"
        "--b--\r\n"
    ).encode()


def created(kind: str, id: str) -> Change:
    return Change(account_id="acc", kind=kind, id=id, event=Operation.CREATE, rev=1)


@pytest.fixture
def here() -> Iterator[MemoryServices]:
    made = MemoryServices(settings=Settings(
        table_prefix="t", bucket="b", key_id="k", pepper="p", queue_urls={}, longpoll_seconds=0.01,
        stream_seconds=0.01, application_requests=12))  # fmt: skip
    made.accounts.rows["acc"] = ACCOUNT
    made.applications.create(Application(id="app", name="Kestrel Desk"), "secret")
    made.tokens.tokens["token"] = "acc"
    for id, role in (("inbox", "inbox"), ("sent", "sent"), ("projects", None)):
        box = Folder(
            id=id, account_id="acc", collection=id.upper(), display_name=id.upper(), role=role, created_at=1
        )
        made.mail.save_folders("acc", [Revised(None, box)])
    for number, sender in enumerate(["tide@harbour.example", "noor@werft.example", "tide@harbour.example"]):
        raw = mail(number, sender)
        record_sent(made.mail, made.blobs, ACCOUNT, raw, made.mail.all_folders["inbox"], FIRST + number)
    files = [file.id for message in made.mail.all_messages.values() for file in message.files]
    made.log.append("acc", made.mail.changes, at=1000)
    made.log.append("acc", [created("file", id) for id in files if id], at=1000)
    made.mail.changes.clear()
    with use(cast(Services, made)):
        yield made


@pytest.fixture
def call(here: MemoryServices) -> Iterator[Call]:
    with Client(APP) as client:

        def request(method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
            headers = {"Content-Type": "application/json", "Authorization": "Bearer token"}
            raw = b"" if body is None else json.dumps(body).encode()
            target = f"{path}?{urlencode(query)}" if query else path
            answer = client.http.request(method, target, headers=headers, body=raw)
            return answer.status_code, answer.json_body

        yield request


def of(batch: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return [(d["event"], d["id"]) for d in batch["deltas"] if d["object"] == kind]


def subjects(batch: dict[str, Any]) -> list[str]:
    return [d["attributes"]["subject"] for d in batch["deltas"] if "attributes" in d]


def move(here: MemoryServices, subject: str, folder: str) -> str:
    """Move a message and log what that changed."""
    [old] = [m for m in here.mail.all_messages.values() if m.subject == subject]
    new = replace(old, folder_id=folder, places=(Place(folder, RemoteId("1.1"), old.places[0].flags),))
    here.mail.save("acc", MailChanges(messages=[Revised(old, new)]))
    here.log.append("acc", here.mail.changes, at=1001)
    here.mail.changes.clear()
    return old.id


def stream(**query: Any) -> tuple[streaming.Answer, list[dict[str, Any]]]:
    answer = streaming.answer(event(**query))
    body = b"".join(answer.body)
    lines = [json.loads(line) for line in body.split(b"\n") if line] if answer.status == 200 else []
    return answer, lines or ([json.loads(body)] if answer.status != 200 else [])


def event(**query: Any) -> dict[str, Any]:
    names = {name: [str(value)] for name, value in query.items()}
    return {
        "headers": {"Authorization": "Bearer token"},
        "multiValueHeaders": {"Authorization": ["Bearer token"]},
        "multiValueQueryStringParameters": names,
        "pathParameters": None,
        "requestContext": {"httpMethod": "GET", "resourcePath": "/delta/streaming", "identity": {}},
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
    }


def test_a_cursor_of_a_second_leads_to_what_was_logged_after_it(call: Call, here: MemoryServices) -> None:
    first = len(here.log.entries)
    here.log.append(
        "acc", [Change(account_id="acc", kind="folder", id="sent", event=Operation.MODIFY, rev=9)], 2000
    )
    status, found = call("POST", "/delta/generate_cursor", {"start": 1999})
    assert status == 200
    batch = call("GET", "/delta", cursor=found["cursor"], seq="true")[1]
    assert (batch["seq_start"], of(batch, "folder")) == (first, [("modify", "sent")])
    assert call("POST", "/delta/generate_cursor", {"start": 999})[1] == {"cursor": "0"}


@pytest.mark.parametrize("start", [None, "1000", 1.5, True, -1, 9_999_999_999, 1_671_100_000_000])
def test_a_start_that_is_no_second_of_the_past_is_refused(call: Call, start: Any) -> None:
    status, body = call("POST", "/delta/generate_cursor", {"start": start})
    assert status == 400 and "start" in body["message"]


@pytest.mark.parametrize("path", ["/delta", "/delta/longpoll", "/delta/streaming"])
def test_an_expired_cursor_is_an_error_that_names_the_remedy(
    call: Call, here: MemoryServices, path: str
) -> None:
    here.log.first = 3
    status, body = call("GET", path, cursor="0")
    assert (status, body["type"]) == (400, "delta_cursor_expired")


@pytest.mark.parametrize("path", ["/delta", "/delta/longpoll", "/delta/streaming"])
@pytest.mark.parametrize(
    "query",
    [
        {}, {"cursor": "zzz"}, {"cursor": "0", "include_types": "x"}, {"cursor": "0", "colour": "red"},
        {"cursor": "0", "include_types": "file", "excluded_types": "file"}, {"cursor": "0", "seq": "1"},
        {"cursor": "0", "any_email": "nobody"}, {"cursor": "0", "received_after": "soon"},
        {"cursor": "0", "limit": "1001"}, {"cursor": "0", "view": "ids"}, {"cursor": "0", "historical": "x"},
    ],
)  # fmt: skip
def test_a_bad_request_is_a_clear_400(call: Call, path: str, query: dict[str, str]) -> None:
    status, body = call("GET", path, **query)
    assert (status, body["type"]) == (400, "invalid_request_error") and body["message"]


@pytest.mark.parametrize("timeout", ["-1", "x", "1e3", "nan"])
def test_a_bad_timeout_is_a_400(call: Call, timeout: str) -> None:
    assert call("GET", "/delta/longpoll", cursor="0", timeout=timeout)[0] == 400


def test_the_types_may_be_chosen_in_both_spellings(call: Call) -> None:
    for query in ({"include_types": "message"}, {"includeTypes": "message"},
                  {"exclude_types": "thread, folder", "excluded_types": "file"}):  # fmt: skip
        batch = call("GET", "/delta", cursor="0", **query)[1]
        assert {d["object"] for d in batch["deltas"]} == {"message"}


def test_the_switches_of_older_clients_still_work(call: Call, here: MemoryServices) -> None:
    here.log.append(
        "acc", [Change(account_id="acc", kind="account", id="acc", event=Operation.MODIFY, rev=1)], 1
    )
    kinds = {d["object"] for d in call("GET", "/delta", cursor="0")[1]["deltas"]}
    assert kinds == {"folder", "message", "thread", "file"}
    shown = call("GET", "/delta", cursor="0", exclude_account="false", exclude_folders="true")[1]["deltas"]
    assert {d["object"] for d in shown} == {"account", "message", "thread", "file"}
    [account] = [d["attributes"] for d in shown if d["object"] == "account"]
    assert (account["id"], account["sync_state"]) == ("acc", "running")


def test_an_expanded_view_has_headers_and_messages(call: Call) -> None:
    deltas = call("GET", "/delta", cursor="0", view="expanded")[1]["deltas"]
    assert all("headers" in d["attributes"] for d in deltas if d["object"] == "message")
    assert all("messages" in d["attributes"] for d in deltas if d["object"] == "thread")


def test_every_kind_the_store_holds_can_be_shown() -> None:
    assert {"message", "thread", "folder", "file", "account"} <= set(BY_KIND) <= KINDS


def test_a_longpoll_with_news_is_a_batch_and_without_is_empty(call: Call) -> None:
    status, batch = call("GET", "/delta/longpoll", cursor="0", timeout=5)
    assert status == 200 and batch == call("GET", "/delta", cursor="0")[1]
    end = batch["cursor_end"]
    assert call("GET", "/delta/longpoll", cursor=end, timeout=5) == (
        200,
        {"cursor_start": end, "cursor_end": end, "deltas": []},
    )


def test_a_stream_has_one_delta_per_line_and_goes_on_after_each(call: Call) -> None:
    answer, lines = stream(cursor=0)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert lines == call("GET", "/delta", cursor="0")[1]["deltas"]
    for number, line in enumerate(lines):
        assert stream(cursor=line["cursor"])[1] == lines[number + 1 :]


@pytest.mark.parametrize("path", ["/delta/longpoll", "/delta/streaming"])
def test_what_clients_decode_in_pieces_is_ascii(here: MemoryServices, path: str) -> None:
    first = sorted(here.mail.all_messages)[0]
    here.mail.all_bodies[first] = "Gr\u00fc\u00dfe \U0001f642"
    with Client(APP) as client:
        answer = client.http.get(f"{path}?cursor=0&timeout=0", headers={"Authorization": "Bearer token"})
    assert answer.body.isascii() and rb"Gr\u00fc\u00dfe \ud83d\ude42" in answer.body


def test_what_is_wrong_with_a_stream_is_told_by_the_status(here: MemoryServices) -> None:
    answer, [error] = stream(cursor="zzz")
    assert (answer.status, error["type"]) == (400, "invalid_request_error")
    assert answer.headers["Nylas-Api-Version"] == "2.5"
    refused = streaming.answer({**event(cursor=0), "headers": {}, "multiValueHeaders": {}})
    assert refused.status == 401 and "WWW-Authenticate" in refused.headers


def test_a_gateway_that_cannot_stream_answers_with_the_lines_there_are(here: MemoryServices) -> None:
    with Client(APP) as client:
        answer = client.http.get("/delta/streaming?cursor=0", headers={"Authorization": "Bearer token"})
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert [json.loads(line) for line in answer.body.split(b"\n") if line] == stream(cursor=0)[1]


@pytest.mark.parametrize("kind", ["longpoll", "streaming"])
def test_an_account_may_wait_ten_times_at_once(call: Call, here: MemoryServices, kind: str) -> None:
    for _ in range(bounds.WAITING_PER_ACCOUNT):
        assert here.slots.take(f"{kind}#acc", bounds.WAITING_PER_ACCOUNT, 1)
    with Client(APP) as client:
        answer = client.http.get(f"/delta/{kind}?cursor=0", headers={"Authorization": "Bearer token"})
    assert (answer.status_code, answer.json_body["type"]) == (429, "api_error")
    assert answer.headers["X-RateLimit-Limit"] == "10" and int(answer.headers["X-RateLimit-Reset"]) >= 1


def test_an_application_has_a_limit_of_its_own(call: Call, here: MemoryServices) -> None:
    for _ in range(here.settings.application_requests):
        assert here.slots.take("waiting#app", 12, 1)
    assert call("GET", "/delta/longpoll", cursor="0")[0] == 429
    assert streaming.answer(event(cursor=0)).status == 429, "longpolls and streams count together"
    assert here.slots.held["longpoll#acc"] == here.slots.held["streaming#acc"] == set()


def test_an_application_may_wait_as_often_as_all_others_still_could(call: Call, here: MemoryServices) -> None:
    for number in range(here.settings.waiting_requests - 2):
        assert here.slots.take("waiting", here.settings.waiting_requests, 1)
        assert number >= 2 or here.slots.take("waiting#app", 2, 1)
    assert call("GET", "/delta/longpoll", cursor="0")[0] == 429, "two places are left, it has two"
    here.slots.held["waiting#app"].clear()
    assert call("GET", "/delta/longpoll", cursor="0")[0] == 200, "a newcomer finds one"


def test_whoever_has_waited_waits_no_more(call: Call, here: MemoryServices) -> None:
    for _ in range(bounds.WAITING_PER_ACCOUNT + 1):
        assert call("GET", "/delta/longpoll", cursor="0")[0] == 200
        stream(cursor=0)
    assert not any(here.slots.held.values())


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_a_stream_nobody_reads_on_gives_its_slot_back(here: MemoryServices, pieces: int) -> None:
    body = streaming.answer(event(cursor=0)).body
    for _ in range(pieces):
        next(body)
    assert here.slots.held["streaming#acc"]
    body.close()
    assert not any(here.slots.held.values())


def test_a_stream_ends_within_a_minute_when_its_token_is_revoked(here: MemoryServices) -> None:
    seconds = count(0, 20)
    request = Request(event(cursor=0))
    pieces = streaming.while_allowed(request, repeat(b"\n"), lambda: float(next(seconds)))
    assert len(list(islice(pieces, 10))) == 10
    here.tokens.tokens.clear()
    assert len(list(islice(pieces, 10))) < 4


def test_mail_that_left_a_folder_is_deleted_for_who_follows_it(call: Call, here: MemoryServices) -> None:
    before = call("GET", "/delta", cursor="0", **{"in": "inbox"})[1]
    assert len(of(before, "message")) == 3 and {event for event, _ in of(before, "message")} == {"create"}
    moved = move(here, "Survey 1", "projects")
    end = before["cursor_end"]
    assert of(call("GET", "/delta", cursor=end, **{"in": "inbox"})[1], "message") == [("delete", moved)]
    assert of(call("GET", "/delta", cursor=end, **{"in": "projects"})[1], "message") == [("modify", moved)]
    assert of(call("GET", "/delta", cursor=end)[1], "message") == [("modify", moved)]


def test_mail_of_others_is_not_shown_to_who_follows_a_participant(call: Call) -> None:
    batch = call("GET", "/delta", cursor="0", any_email="NOOR@werft.example", include_types="message")[1]
    assert subjects(batch) == ["Survey 1"]
    files = call("GET", "/delta", cursor="0", any_email="noor@werft.example", include_types="file")[1]
    assert sorted(event for event, _ in of(files, "file")) == ["create", "delete", "delete"]
    threads = call("GET", "/delta", cursor="0", any_email="noor@werft.example", include_types="thread")[1]
    assert "create" in {event for event, _ in of(threads, "thread")}


@pytest.mark.parametrize("path", ["messages", "threads"])
@pytest.mark.parametrize(
    "query",
    [
        {"in": "inbox"}, {"in": "projects"}, {"any_email": "noor@werft.example"}, {"received_after": FIRST},
        {"received_before": FIRST + 1}, {"received_before": FIRST, "in": "INBOX"},
        {"received_after": FIRST, "received_before": FIRST + 1, "any_email": "noor@werft.example"},
    ],
)  # fmt: skip
def test_a_filtered_feed_leads_to_what_the_filtered_list_shows(
    call: Call, here: MemoryServices, path: str, query: dict[str, Any]
) -> None:
    kind = path.rstrip("s")
    move(here, "Survey 2", "projects")
    held: set[str] = set()
    cursor = "0"
    while (batch := call("GET", "/delta", cursor=cursor, limit=2, **query)[1])["cursor_end"] != cursor:
        for event, id in of(batch, kind):
            held = held - {id} if event == "delete" else held | {id}
        cursor = batch["cursor_end"]
    assert held == set(call("GET", f"/{path}", view="ids", **query)[1])


def test_mail_out_of_the_dates_is_left_out(call: Call) -> None:
    later = call("GET", "/delta", cursor="0", received_after=FIRST, include_types="message,file,folder")[1]
    assert len(of(later, "message")) == len(of(later, "file")) == 2 and len(of(later, "folder")) == 3
    only = {"received_after": FIRST, "received_before": FIRST + 1, "include_types": "message"}
    assert subjects(call("GET", "/delta", cursor="0", **only)[1]) == ["Survey 1"]


def test_whether_mail_is_older_than_the_connection_is_told_on_request(call: Call) -> None:
    assert not any("historical" in d for d in call("GET", "/delta", cursor="0")[1]["deltas"])
    deltas = call("GET", "/delta", cursor="0", historical="true")[1]["deltas"]
    told = {d["attributes"]["subject"]: d["historical"] for d in deltas if d["object"] == "message"}
    assert told == {"Survey 0": True, "Survey 1": False, "Survey 2": False}
    assert all(d["historical"] is False for d in deltas if d["object"] == "folder")


def test_numbers_join_from_batch_to_batch(call: Call, here: MemoryServices) -> None:
    cursor, told = "0", 0
    while True:
        query = {"cursor": cursor, "limit": 3, "seq": "true", "exclude_types": "thread"}
        batch = call("GET", "/delta", **query)[1]
        assert batch["seq_start"] == told
        for one in batch["deltas"]:
            assert one["seq_after"] < one["seq"] <= batch["seq_end"]
        told = batch["seq_end"]
        if batch["cursor_end"] == cursor:
            break
        cursor = batch["cursor_end"]
    assert told == len(here.log.entries)
    assert "seq" not in json.dumps(call("GET", "/delta", cursor="0")[1])
