"""No answer is larger than Lambda lets it be, no list is shorter for that, and every cursor moves on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import zstandard
from chalice.test import Client

from app import app as APP
from chalicelib import bounds
from chalicelib.deltas.follow import Feed
from chalicelib.domain.log.delta import Change, Operation
from chalicelib.domain.mail.message import Address, Message
from chalicelib.domain.mail.thread import Entry
from chalicelib.errors import TooLarge
from chalicelib.store.objects.body import BodyTable
from chalicelib.sync.requests.content import Contents
from chalicelib.wire import size
from chalicelib.wire.log import application_cursor
from tests.fakes.services import MemoryLog, MemoryServices
from tests.worlds.api import ACCOUNT, FIRST, Call, basic, mail
from tests.worlds.api import call as call  # a fixture
from tests.worlds.api import here as here  # a fixture

LAMBDA_BYTES = 6_291_556
BODIES = {
    "tabs": "&nbsp;" * 1_100_000,
    "quotes": '"' * 1_900_000,
    "backslashes": "\\" * 1_900_000,
    "another script": "潮" * 2_000_000,
    "beyond the first plane": "🙂" * 1_500_000,
    "separators of lines": "\u2028" * 1_200_000,
    "control characters": "\x01" * 900_000,
}


def as_lambda_sends_it(answer: Any) -> int:
    """The managed runtime writes the answer as JSON, in which the body is a string; U+2028 is escaped."""
    body = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    quoted = json.dumps({"statusCode": 200, "body": body}, ensure_ascii=False)
    return len(quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode())


def enlarge(here: MemoryServices, body: str, number: int = 0) -> str:
    """Let the message of a number have a body; return its id."""
    id = sorted(here.mail.all_messages)[number]
    here.mail.all_bodies[id] = body
    return id


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_list_has_every_object_and_leaves_out_the_largest_bodies(
    call: Call, here: MemoryServices, body: str
) -> None:
    id = enlarge(here, body)
    status, found = call("GET", "/messages?limit=50&view=expanded")
    assert status == 200 and len(found) == 3 and as_lambda_sends_it(found) < LAMBDA_BYTES
    [large] = [one for one in found if one["id"] == id]
    assert "body" not in large and large["incomplete"] == ["body"]
    assert all(one["body"] and "incomplete" not in one for one in found if one["id"] != id)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_single_object_has_the_beginning_of_its_body(call: Call, here: MemoryServices, body: str) -> None:
    id = enlarge(here, body)
    status, found = call("GET", f"/messages/{id}")
    assert status == 200 and as_lambda_sends_it(found) < LAMBDA_BYTES
    assert found["incomplete"] == ["body"] and len(found["body"]) > 100_000
    assert body.startswith(found["body"])


def test_a_comma_list_and_a_search_are_bounded_as_well(call: Call, here: MemoryServices) -> None:
    ids = [enlarge(here, "x" * 3_000_000, number) for number in range(3)]
    for path in (f"/messages/{','.join(ids)}", "/messages/search?q=Survey"):
        status, found = call("GET", path)
        assert status == 200 and len(found) == 3 and as_lambda_sends_it(found) < LAMBDA_BYTES
        assert sum("body" in one for one in found) == 1


def test_bodies_that_fit_are_all_there(call: Call, here: MemoryServices) -> None:
    for number in range(3):
        enlarge(here, "x" * 1_800_000, number)
    status, found = call("GET", "/messages")
    assert status == 200 and [len(one["body"]) for one in found] == [1_800_000] * 3


def test_a_client_that_pages_gets_every_message(call: Call, here: MemoryServices) -> None:
    """SDKs of v2 stop at a page that is shorter than what they asked for."""
    for number in range(3):
        enlarge(here, "x" * 5_400_000, number)
    seen: list[str] = []
    while len(page := call("GET", f"/messages?limit=2&offset={len(seen)}")[1]) == 2:
        seen += [one["id"] for one in page]
    assert sorted(seen + [one["id"] for one in page]) == sorted(here.mail.all_messages)


@pytest.mark.parametrize("path", ["/delta?cursor={}", "/delta/longpoll?timeout=0&cursor={}"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_cursor_gets_past_a_large_message(call: Call, here: MemoryServices, body: str, path: str) -> None:
    id = enlarge(here, body, 1)
    here.log.append("acc", here.mail.changes, at=FIRST)
    told: list[Any] = []
    cursor, end = "", "0"
    while cursor != end:
        cursor = end
        status, batch = call("GET", path.format(cursor))
        assert status == 200 and as_lambda_sends_it(batch) < LAMBDA_BYTES
        end, told = batch["cursor_end"], told + batch["deltas"]
    messages = {one["id"]: one["attributes"] for one in told if one["object"] == "message"}
    assert messages.keys() == here.mail.all_messages.keys()
    assert messages[id]["incomplete"] == ["body"] and "body" not in messages[id]


def test_a_stream_leaves_out_the_same(here: MemoryServices) -> None:
    id = enlarge(here, BODIES["tabs"])
    here.log.append("acc", here.mail.changes, at=FIRST)
    with Client(APP) as client:
        answer = client.http.get("/delta/streaming?cursor=0", headers={"Authorization": "Bearer token"})
    lines = [json.loads(line) for line in answer.body.decode().splitlines() if line]
    [large] = [one["attributes"] for one in lines if one["id"] == id]
    assert large["incomplete"] == ["body"]


def test_the_cursor_of_all_accounts_gets_past_large_messages(call: Call, here: MemoryServices) -> None:
    for number in range(3):
        enlarge(here, BODIES["quotes"], number)
    here.log.append("acc", here.mail.changes, at=FIRST)
    start, told = application_cursor.encode("app", application_cursor.Places()), 0
    while True:
        status, batch = call("GET", f"/a/app/deltas?cursor={start}", auth=basic("secret"))
        assert status == 200 and as_lambda_sends_it(batch) < LAMBDA_BYTES
        if batch["cursor_end"] == start:
            break
        start, told = batch["cursor_end"], told + len(batch["deltas"])
    assert told == len(here.log.entries)


def test_many_deltas_of_ordinary_bodies_come_in_several_batches(call: Call, here: MemoryServices) -> None:
    for number in range(3):
        enlarge(here, "x" * 900_000, number)
    here.log.append("acc", [change for change in here.mail.changes if change.kind == "message"] * 4, at=FIRST)
    batch = call("GET", "/delta?cursor=0")[1]
    assert all("body" in one["attributes"] for one in batch["deltas"])
    assert size.weight(batch["deltas"]) < bounds.BATCH_BYTES


def test_no_more_bodies_are_held_than_are_shown_and_a_few(here: MemoryServices) -> None:
    message = next(iter(here.mail.all_messages.values()))
    many = [replace(message, id=f"{number:025}") for number in range(400)]
    asked: list[int] = []

    def bodies(account_id: str, ids: list[str]) -> dict[str, str]:
        asked.append(len(ids))
        return dict.fromkeys(ids, "x" * 100_000)

    here.mail.bodies = bodies  # type: ignore[method-assign,assignment]
    contents = Contents(mail=here.mail, blobs=here.blobs, provider=here.provider)
    found = contents.bodies(ACCOUNT, many)
    assert max(asked) <= 25 and len(found) == 400
    assert sum(len(body) for body in found.values() if body) <= bounds.RESPONSE_BYTES


def test_of_a_body_that_unpacks_to_gigabytes_the_beginning_is_read() -> None:
    class Table:
        name = "t"

        def get_many(self, keys: list[Any], consistent: bool) -> Iterator[Any]:
            for pk, sk in keys:
                yield {"pk": {"S": pk}, "sk": {"S": sk}, "b": {"B": packed}, "ttl": {"N": "9999999999"}}

    html = "<p>" + "潮" * 60_000_000
    packed = zstandard.ZstdCompressor(level=9).compress(html.encode())
    assert len(packed) < 350_000
    [(_, found)] = BodyTable(Table()).get("acc", ["0" * 25], 0).items()  # type: ignore[arg-type]
    assert len(found.encode()) <= bounds.STORED_BODY_BYTES and html.startswith(found)


def crowd(length: int) -> tuple[Address, ...]:
    return tuple(Address(name="N" * 60, email=f"n{number}@kestrel.example") for number in range(length))


def swell(here: MemoryServices, people: int) -> None:
    for id, message in list(here.mail.all_messages.items()):
        here.mail.all_messages[id] = replace(message, to=crowd(people), cc=crowd(people))


def test_long_lists_of_people_are_left_out_where_bodies_are_not_to_blame(
    call: Call, here: MemoryServices
) -> None:
    swell(here, 20_000)
    status, found = call("GET", "/messages")
    assert status == 200 and len(found) == 3 and as_lambda_sends_it(found) < LAMBDA_BYTES
    named = {name for one in found for name in one.get("incomplete", ())}
    assert named <= {"body", "to", "cc"} and named & {"to", "cc"}
    assert any(one["to"] for one in found) and not all(one["to"] and one["cc"] for one in found)


def test_a_thread_of_large_messages_is_shown(call: Call, here: MemoryServices) -> None:
    swell(here, 20_000)
    for path in ("/threads?view=expanded", f"/threads/{min(here.mail.all_threads)}?view=expanded"):
        status, found = call("GET", path)
        assert status == 200 and as_lambda_sends_it(found) < LAMBDA_BYTES


def test_the_longest_threads_of_a_list_come_without_their_messages(
    call: Call, here: MemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, thread = max(here.mail.all_threads.items())
    entry: Entry = next(iter(thread.entries.values()))
    monkeypatch.setattr(bounds, "MESSAGES_IN_THREADS", 40)
    entries = {f"{number:025}": entry for number in range(40)}
    here.mail.all_threads[id] = replace(thread, entries=entries)
    asked: list[int] = []
    read = here.mail.messages

    def counting(account_id: str, ids: Any) -> dict[str, Message]:
        asked.append(len(list(ids)))
        return read(account_id, ids)

    here.mail.messages = counting  # type: ignore[method-assign]
    status, found = call("GET", "/threads?view=expanded")
    assert status == 200 and len(found) == len(here.mail.all_threads)
    assert {one["id"] for one in found if one.get("incomplete") == ["messages"]} == {id}
    assert sum(asked) <= bounds.MESSAGES_IN_THREADS


@pytest.mark.parametrize(
    "object",
    [
        {"body": "x" * 3_000_000},
        {"to": [{"email": "x" * 200}] * 20_000},
        {"participants": [{"email": "x"}] * 90_000, "message_ids": ["x" * 25] * 90_000},
        {"folders": [{"id": "x" * 25, "display_name": "y" * 99}] * 20_000},
        {"folder_history_days": {f"{number:025}": 1 for number in range(90_000)}},
        {"snippet": "x" * 2_000_000},
        {"filename": "\u2028" * 900_000},
        {"a": [[["x" * 1_000_000]]]},
    ],
)
def test_no_object_whatsoever_keeps_a_cursor_from_moving(object: dict[str, Any]) -> None:
    log = MemoryLog()
    change = Change(account_id="a", kind="message", id="m", event=Operation.CREATE, rev=1)
    log.append("a", [change], 7)
    line = {"cursor": "c", "object": "message", "id": "m", "event": "create", "attributes": object}
    batch = Feed(log=log, account_id="a", limit=9, show=lambda deltas: [(1, line)]).after((0, 0))
    assert batch.end == (1, 7) and batch.size <= bounds.DELTA_BYTES
    [(_, told)] = batch.shown
    assert told["id"] == "m" and (told.get("incomplete") or told["attributes"]["incomplete"])


@pytest.mark.parametrize("excess", range(1, 60))
def test_a_body_of_any_length_around_the_bound_is_cut_or_left_out(excess: int) -> None:
    for length in (1, 40, 50, 3_000):
        one = {"id": "m", "body": "x" * length}
        most = size.weight(one) - excess
        try:
            assert size.weight(size.fitted(one, most)) <= max(most, 80)
        except TooLarge:
            assert most < 100


def test_what_cannot_be_made_smaller_is_refused_with_advice() -> None:
    with pytest.raises(TooLarge, match="smaller limit"):
        size.fitted([{"id": "x" * 1000}] * 9, 5_000)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("accept", ["message/rfc822", "application/octet-stream"])
def test_bytes_that_lambda_would_drop_are_refused_with_words(
    call: Call, here: MemoryServices, local: bool, accept: str
) -> None:
    raw = b"x" * (bounds.BINARY_BYTES + 1)
    assert len(base64.b64encode(raw[:-1])) < LAMBDA_BYTES
    here.settings = replace(here.settings, local=local)
    id = sorted(here.mail.all_messages)[0]
    [file] = call("GET", f"/files?message_id={id}&view=ids")[1]
    path = f"/messages/{id}" if accept == "message/rfc822" else f"/files/{file}/download"
    whole = mail(0).replace(b"1;2", raw)
    here.blobs.get = lambda key, offset, length: whole  # type: ignore[method-assign]
    with Client(APP) as client:
        answer = client.http.get(path, headers={"Authorization": "Bearer token", "Accept": accept})
    assert answer.status_code == (200 if local else 413)


@pytest.mark.parametrize("body", ["潮" * 320_000, "ü" * 480_000, "🙂" * 240_000])
def test_many_deltas_in_ascii_come_in_several_batches_that_fit(
    call: Call, here: MemoryServices, body: str
) -> None:
    for number in range(len(here.mail.all_messages)):
        enlarge(here, body, number)
    here.log.append("acc", [change for change in here.mail.changes if change.kind == "message"] * 4, at=FIRST)
    with Client(APP) as client:
        path = "/delta/longpoll?timeout=0&cursor=0"
        answer = client.http.get(path, headers={"Authorization": "Bearer token"}).body.decode("ascii")
    assert as_lambda_sends_it(json.loads(answer)) < len(json.dumps({"body": answer})) < LAMBDA_BYTES
    assert all("body" in one["attributes"] for one in json.loads(answer)["deltas"])


def test_labels_are_the_last_thing_that_is_left_out() -> None:
    labels = [{"id": "x" * 25, "display_name": "y" * 99}] * 100
    large = {"labels": labels, "to": [{"email": "x"}] * 400_000}
    assert size.fitted([large]) == [{"labels": labels, "to": [], "incomplete": ["to"]}]
    assert size.fitted([{"labels": labels * 600}]) == [{"labels": [], "incomplete": ["labels"]}]


VALUES = ["plain", 'a"b', "a\\b", "\n\t\x01", "ü潮🙂", "\u2028\u2029", "\ud800", "é\ud83d", '"ü\\"']


@pytest.mark.parametrize("value", VALUES)
def test_the_same_is_said_in_ascii(value: str) -> None:
    sent = size.ascii_text({value: [value]})
    assert sent.isascii() and json.loads(sent) == json.loads(size.text({value: [value]}))
    assert size.ascii_weight({value: [value]}) == len(json.dumps(sent)) - 2


@pytest.mark.parametrize("value", ["plain", 'a"b', "a\\b", "\n\t\x01", "ü潮🙂", "\u2028\u2029", "\ud800"])
def test_weight_is_what_lambda_sends(value: str) -> None:
    sent = size.text({"a": value})
    quoted = json.dumps(sent, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    assert size.weight({"a": value}) == len(quoted.encode()) - 2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("offset=1000000000", "offset may be at most 999999999"),
        ("offset=99999999999999999999", "offset may be at most 999999999"),
        ("offset=" + "9" * 5_000, "offset may be at most 999999999"),
        ("limit=1001", "limit may be at most 1000"),
        ("limit=" + "9" * 5_000, "limit may be at most 1000"),
        ("offset=-1", "offset must be a whole number, zero or more"),
    ],
)
def test_too_large_a_number_is_told_its_bound(call: Call, query: str, said: str) -> None:
    for path in ("/messages", "/folders?view=count", "/threads?view=ids", "/account"):
        status, answer = call("GET", f"{path}{'&' if '?' in path else '?'}{query}")
        assert (status, answer["message"]) == (400, said)


def test_zeros_before_a_number_do_not_count(call: Call) -> None:
    assert call("GET", "/messages?view=ids&offset=" + "0" * 5_000)[0] == 200
