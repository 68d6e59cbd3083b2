"""Payload, triggers, signature, challenge."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib.domain.log.delta import Change, Delta, Operation
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.domain.webhooks.webhook import TRIGGERS, trigger_of
from chalicelib.providers.network import client
from chalicelib.providers.network.egress import EgressPolicy
from chalicelib.webhooks.delivery import batches, payload, signature
from chalicelib.webhooks.manage import endpoint
from tests.worlds.webhooks import hook

BASE = Change(account_id="acc", kind="message", id="m", event=Operation.CREATE, rev=1)


def message(number: int, event: Operation = Operation.CREATE) -> Change:
    facts = (("thread_id", f"t{number}"), ("received_date", 1671186614 + number))
    return Change(
        account_id="acc", kind="message", id=f"m{number}", event=event, rev=number + 1, attributes=facts
    )


def test_the_signature_is_the_published_one() -> None:
    signed = signature.sign("myClientSecret", b"test123")
    assert (signed[:8], signed[-8:]) == ("ddc02f92", "4a581e1c")


def test_the_payload_is_compact_unescaped_and_in_order() -> None:
    entry = Delta(seq=1, at=1671186620, change=replace(message(1), id="mé"))
    assert payload.build([entry]).decode() == (
        '{"deltas":[{"date":1671186620,"object":"message","type":"message.created","object_data":'
        '{"namespace_id":"acc","account_id":"acc","object":"message","attributes":'
        '{"thread_id":"t1","received_date":1671186615},"id":"mé","metadata":null}}]}'
    )


def test_account_events_have_no_attributes() -> None:
    change = Change(
        account_id="acc", kind="account", id="acc", event=Operation.MODIFY, rev=2,
        attributes=(("sync_state", "running"),),
    )  # fmt: skip
    [shown] = json.loads(payload.build([Delta(seq=1, at=5, change=change)]))["deltas"]
    assert shown["type"] == "account.running"
    assert shown["object_data"]["attributes"] is None


def test_job_items_bear_what_happened_and_extras() -> None:
    facts = (
        ("status", "failed"),
        ("action", "send"),
        ("job_status_id", "j"),
        ("reason", "no"),
        ("send_at", 9),
    )
    change = Change(
        account_id="acc", kind="job_status", id="j", event=Operation.CREATE, rev=1, attributes=facts
    )
    [shown] = json.loads(payload.build([Delta(seq=1, at=5, change=change)]))["deltas"]
    assert (shown["type"], shown["object"]) == ("job.failed", "job_status")
    assert shown["object_data"]["attributes"] == {
        "action": "send", "job_status_id": "j", "message_id": None, "thread_id": None,
        "extras": {"reason": "no", "send_at": 9},
    }  # fmt: skip


def test_event_items_bear_their_calendar() -> None:
    change = Change(
        account_id="acc",
        kind="event",
        id="e",
        event=Operation.DELETE,
        rev=1,
        attributes=(("calendar_id", "c"),),
    )
    [shown] = json.loads(payload.build([Delta(seq=1, at=5, change=change)]))["deltas"]
    assert shown["type"] == "event.deleted"
    assert shown["object_data"]["attributes"] == {
        "calendar_id": "c",
        "created_before_account_connection": False,
    }


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [("message.opened", "metadata"), ("message.link_clicked", "metadata"), ("thread.replied", "message")],
)
def test_tracking_items_bear_metadata_and_v2s_object_names(trigger: str, kind: str) -> None:
    facts = {
        "message_id": "m",
        "payload": "order-88",
        "count": 1,
        "recents": [{"id": 0, "ip": "198.51.100.7"}],
    }
    change = Change(
        account_id="acc", kind="tracking", id="x", event=Operation.CREATE, rev=1,
        attributes=(("trigger", trigger), ("metadata", json.dumps(facts))),
    )  # fmt: skip
    [shown] = json.loads(payload.build([Delta(seq=1, at=5, change=change)]))["deltas"]
    assert (shown["type"], shown["object"], shown["object_data"]["object"]) == (trigger, kind, kind)
    assert shown["object_data"]["metadata"] == facts and shown["object_data"]["attributes"] is None


def test_every_trigger_of_the_reference_can_be_asked_for() -> None:
    names = (
        "account.connected account.running account.stopped account.invalid account.sync_error "
        "message.created message.updated message.opened message.link_clicked message.bounced "
        "thread.replied contact.created "
        "contact.updated contact.deleted calendar.created calendar.updated calendar.deleted event.created "
        "event.updated event.deleted job.successful job.failed job.delayed job.cancelled"
    )
    assert set(names.split()) == TRIGGERS


@pytest.mark.parametrize(
    ("change", "trigger"),
    [
        (replace(BASE, event=Operation.MODIFY), "message.updated"),
        (replace(BASE, event=Operation.DELETE), None),
        (replace(BASE, kind="thread"), None),
        (replace(BASE, kind="folder"), None),
        (replace(BASE, kind="contact"), "contact.created"),
        (replace(BASE, kind="calendar", event=Operation.MODIFY), "calendar.updated"),
        (replace(BASE, kind="account", attributes=(("sync_state", "initializing"),)), "account.connected"),
        (
            replace(BASE, kind="account", attributes=(("sync_state", "invalid-credentials"),)),
            "account.invalid",
        ),
        (replace(BASE, kind="account", attributes=(("sync_state", "partial"),)), None),
        (replace(BASE, kind="job_status", attributes=(("status", "delayed"),)), "job.delayed"),
        (replace(BASE, kind="job_status", attributes=(("status", "queued"),)), None),
        (replace(BASE, kind="tracking", attributes=(("trigger", "folder.created"),)), None),
    ],
)
def test_changes_pull_the_triggers_of_v2(change: Change, trigger: str | None) -> None:
    assert trigger_of(change) == trigger


def test_the_misspelt_trigger_of_the_published_schema_is_the_right_one() -> None:
    job = replace(BASE, kind="job_status", attributes=(("status", "successful"),))
    asked = hook("w", triggers=frozenset({"job.succesful"}))
    assert batches.wants(asked, Delta(seq=1, at=1, change=job))
    assert not batches.wants(asked, Delta(seq=1, at=1, change=BASE))


class Echo(BaseHTTPRequestHandler):
    """Answers with its query string, or as its path says."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        answers = {"/echo": query.rpartition("=")[2], "/big": "x" * 200_000, "/wrong": "no"}
        self.send_response(302 if path == "/moved" else 200)
        self.send_header("Location", "/echo")
        self.end_headers()
        self.wfile.write(answers.get(path, f"{self.headers['Host']} {query}").encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


LOCAL = client.Client(reach=EgressPolicy(local=True, resolve=lambda host, port: ["127.0.0.1"]), timeout=5)


def test_an_endpoint_must_repeat_the_challenge(echo: str) -> None:
    assert endpoint.challenge(f"{echo}/echo?keep=1", "abcdefgh12345678", LOCAL.get)
    assert not endpoint.challenge(f"{echo}/wrong", "abcdefgh12345678", LOCAL.get)
    assert not endpoint.challenge(f"{echo}/moved", "abcdefgh12345678", LOCAL.get)
    assert not endpoint.challenge("http://localhost:1/", "abcdefgh12345678", LOCAL.get)


def test_other_query_parameters_are_kept(echo: str) -> None:
    assert (
        endpoint.with_challenge("https://d.example/h?a=1&b=", "s") == "https://d.example/h?a=1&b=&challenge=s"
    )


def test_the_connection_goes_to_the_checked_address_under_the_asked_name(echo: str) -> None:
    port = echo.rpartition(":")[2]
    answer = LOCAL.get(f"http://desk.example:{port}/?a=1")
    assert answer == HttpResponse(200, f"desk.example:{port} a=1".encode())


def test_at_most_64_kb_of_an_answer_are_read(echo: str) -> None:
    assert len(LOCAL.get(f"{echo}/big").body) == 64 * 1024
