"""/a/{client_id}/webhooks and everything below it, over HTTP on services in memory."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from chalice.test import Client

import app
from chalicelib import bounds
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.jobs import Wake
from chalicelib.domain.log.delta import Change, Operation
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.providers.network import client as http
from chalicelib.providers.network.egress import EgressPolicy
from chalicelib.services import Services, use
from chalicelib.webhooks.delivery import signature
from tests.fakes.endpoint import LoopbackEndpoint
from tests.fakes.services import MemoryServices
from tests.worlds.endpoints import endpoint as endpoint  # a fixture
from tests.worlds.endpoints import work

ACCOUNT = Account(
    id="acc", application_id="app", email_address="mira@kestrel.example", name="Mira", provider="imap",
    state=SyncState.RUNNING, linked_at=1671100214, scopes="email", history_days=30,
)  # fmt: skip
Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def here() -> Iterator[MemoryServices]:
    made = MemoryServices(web=http.Client(reach=EgressPolicy(local=True), timeout=5))
    made.accounts.rows["acc"] = ACCOUNT
    made.applications.create(Application(id="app", name="Kestrel Desk"), "secret")
    with use(cast(Services, made)):
        yield made


@pytest.fixture
def call(here: MemoryServices) -> Iterator[Call]:
    with Client(app.app) as client:

        def request(
            method: str, path: str, body: Any = None, secret: str = "secret", kind: str = "application/json"
        ) -> tuple[int, Any]:
            auth = "Basic " + base64.b64encode(f"{secret}:".encode()).decode()
            raw = b"" if body is None else json.dumps(body).encode()
            headers = {"Content-Type": kind, "Authorization": auth}
            answer = client.http.request(method, "/a/app/" + path, headers=headers, body=raw)
            return answer.status_code, answer.json_body

        yield request


@pytest.fixture
def webhook(call: Call, endpoint: LoopbackEndpoint) -> str:
    wanted = {"callback_url": endpoint.url, "triggers": ["message.created"], "state": "active"}
    status, made = call("POST", "webhooks", wanted)
    assert status == 200, made
    return f"webhooks/{made['id']}"


def stored(here: MemoryServices) -> Webhook:
    [webhook] = here.webhooks.rows.values()
    return webhook


def change(here: MemoryServices, id: str) -> None:
    """Log one new message, announce it and work every message of the queue."""
    made = Change(account_id="acc", kind="message", id=id, event=Operation.CREATE, rev=1)
    here.log.append("acc", [made], int(time.time()))
    cast(Any, here).announce(ACCOUNT, here.log.head("acc")[0])
    work(here)


def test_active_is_the_default_and_must_pass_the_challenge(call: Call, endpoint: LoopbackEndpoint) -> None:
    status, made = call(
        "POST", "webhooks", {"callback_url": endpoint.url, "triggers": ["message.created"]}, kind="text/plain"
    )
    assert (status, made["state"], endpoint.challenged) == (200, "active", 1)
    assert set(made) == {"id", "application_id", "callback_url", "state", "triggers", "version"}


def test_an_endpoint_that_fails_the_challenge_is_not_stored(call: Call, here: MemoryServices) -> None:
    wanted = {"callback_url": "http://127.0.0.1:9/x", "triggers": ["message.created"], "state": "active"}
    status, error = call("POST", "webhooks", wanted)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert here.webhooks.rows == {}


def test_switching_on_runs_the_challenge_again_and_off_does_not(
    call: Call, webhook: str, endpoint: LoopbackEndpoint
) -> None:
    assert call("PUT", webhook, {"state": "inactive"})[1]["state"] == "inactive"
    assert endpoint.challenged == 1
    assert call("PUT", webhook, {"state": "active"})[1]["state"] == "active"
    assert endpoint.challenged == 2
    endpoint.close()
    call("PUT", webhook, {"state": "inactive"})
    assert call("PUT", webhook, {"state": "active"})[0] == 400
    assert call("GET", webhook)[1]["state"] == "inactive"


def test_the_ledger_shows_what_was_sent(call: Call, here: MemoryServices, webhook: str) -> None:
    change(here, "m1")
    change(here, "m2")
    status, [first, second] = call("GET", f"{webhook}/deliveries")
    assert status == 200
    assert (first["state"], first["kind"], first["changes"], first["account_id"]) == (
        "delivered", "change", 1, "acc",
    )  # fmt: skip
    [attempt] = first["attempts"]
    assert (attempt["status"], attempt["response"], attempt["error"]) == (200, "thank you", None)
    assert attempt["latency_ms"] >= 0
    assert call("GET", f"{webhook}/deliveries?limit=1&offset=1")[1] == [second]
    assert call("GET", f"{webhook}/deliveries?state=failed")[1] == []
    assert call("GET", f"{webhook}/deliveries?since={int(time.time()) + 60}")[1] == []
    assert call("GET", f"{webhook}/deliveries?state=lost")[0] == 400
    shown = [call("GET", f"{webhook}/deliveries/{one['id']}")[1] for one in (first, second)]
    told = [delta["object_data"]["id"] for one in shown for delta in one["body"]["deltas"]]
    assert sorted(told) == ["m1", "m2"]
    assert call("GET", f"{webhook}/deliveries/0000")[0] == 404
    assert call("GET", f"{webhook}/deliveries/A-1")[0] == 400


def test_one_notification_is_sent_again_under_its_name(
    call: Call, here: MemoryServices, webhook: str, endpoint: LoopbackEndpoint
) -> None:
    change(here, "m1")
    change(here, "m2")
    ledger = call("GET", f"{webhook}/deliveries")[1]
    first = next(d for d in ledger if d["notification_id"] == endpoint.received[0][0]["webhook-id"])
    status, answer = call("POST", f"{webhook}/deliveries/{first['id']}/replay")
    assert (status, answer["deliveries"]) == (200, 1)
    work(here)
    (old, body), _, (new, again) = endpoint.received
    assert again == body
    assert new["webhook-id"] == old["webhook-id"]
    assert [d["kind"] for d in call("GET", f"{webhook}/deliveries")[1]].count("replay") == 1
    assert len(here.deliveries.all_lanes) == 1  # the replay's own lane is gone


def test_everything_since_a_moment_is_told_again_also_what_never_was(
    call: Call, here: MemoryServices, webhook: str, endpoint: LoopbackEndpoint
) -> None:
    began = int(time.time())
    call("PUT", webhook, {"state": "inactive"})
    change(here, "m1")
    assert call("POST", f"{webhook}/replay", {"since": began})[0] == 400  # activate it first
    call("PUT", webhook, {"state": "active"})
    work(here)
    assert endpoint.received == []
    status, answer = call("POST", f"{webhook}/replay", {"since": began})
    assert (status, answer["accounts"]) == (200, 1)
    work(here)
    told = [json.loads(body)["deltas"][0]["object_data"]["id"] for _, body in endpoint.received]
    assert told == ["m1"]


@pytest.mark.parametrize(
    "body",
    [{}, {"since": "x"}, {"since": 5}, {"since": True}, {"since": 2**50}, {"since": -1}, {"failed_only": 1}],
)
def test_a_replay_needs_a_moment_within_14_days(call: Call, webhook: str, body: dict[str, Any]) -> None:
    status, error = call("POST", f"{webhook}/replay", body)
    assert (status, error["type"]) == (400, "invalid_request_error")


def test_a_replay_may_be_of_one_account_and_of_what_failed_only(
    call: Call, here: MemoryServices, webhook: str, endpoint: LoopbackEndpoint
) -> None:
    began = int(time.time()) - 5
    endpoint.status = 500
    change(here, "m1")
    [delivery] = here.deliveries.rows.values()
    here.deliveries.rows[delivery.webhook_id, delivery.id] = replace(delivery, state="failed")
    lane = next(iter(here.deliveries.all_lanes.values()))
    here.deliveries.all_lanes[lane.webhook_id, lane.key] = replace(lane, told=1, open="")
    endpoint.status = 200
    change(here, "m2")
    other = {"since": began, "account_id": "nobody"}
    assert call("POST", f"{webhook}/replay", other)[1]["accounts"] == 0
    status, answer = call("POST", f"{webhook}/replay", {"since": began, "failed_only": True})
    assert (status, answer["deliveries"]) == (200, 1)
    work(here)
    told = [json.loads(body)["deltas"][0]["object_data"]["id"] for _, body in endpoint.received]
    assert told == ["m1", "m2", "m1"]


def test_a_test_event_is_sent_at_once_and_recorded(
    call: Call, webhook: str, endpoint: LoopbackEndpoint
) -> None:
    status, sent = call("POST", f"{webhook}/test", {"trigger": "thread.replied"})
    assert (status, sent["state"], sent["kind"]) == (200, "delivered", "test")
    [(headers, body)] = endpoint.received
    assert headers["X-Nylas-Signature"] == signature.sign("secret", body)
    [delta] = json.loads(body)["deltas"]
    assert (delta["type"], delta["object"]) == ("thread.replied", "message")
    assert call("GET", f"{webhook}/deliveries/{sent['id']}")[1] == sent | {"body": None}
    endpoint.status = 503
    refused = call("POST", f"{webhook}/test")[1]
    assert (refused["state"], refused["attempts"][0]["status"]) == ("failed", 503)
    assert call("POST", f"{webhook}/test", {"trigger": "x.y"})[0] == 400


def test_a_test_event_goes_only_to_an_endpoint_that_has_answered_the_challenge(
    call: Call, endpoint: LoopbackEndpoint
) -> None:
    wanted = {"callback_url": endpoint.url, "triggers": ["message.created"], "state": "inactive"}
    made = call("POST", "webhooks", wanted)[1]
    status, refused = call("POST", f"webhooks/{made['id']}/test", {"trigger": "thread.replied"})
    assert (status, refused["type"]) == (409, "invalid_request_error") and not endpoint.received
    for state in ("active", "inactive"):
        assert call("PUT", f"webhooks/{made['id']}", {"state": state})[0] == 200
    assert call("POST", f"webhooks/{made['id']}/test")[0] == 200, "it answered once"
    assert len(endpoint.received) == 1


def test_an_application_has_a_bounded_number_of_webhooks(call: Call, here: MemoryServices) -> None:
    def create(number: int) -> int:
        url = f"https://desk.example/{number}"
        wanted = {"callback_url": url, "triggers": ["message.created"], "state": "inactive"}
        return call("POST", "webhooks", wanted)[0]

    assert [create(number) for number in range(bounds.WEBHOOKS + 2)] == [200] * bounds.WEBHOOKS + [400] * 2
    [first, *_] = here.webhooks.rows
    assert call("DELETE", f"webhooks/{first}")[0] == 200
    assert create(99) == 200, "room again"


@pytest.mark.parametrize(
    "more",
    [
        {"callback_url": "https://desk.example/" + "x" * 3_000}, {"callback_url": "sqs://" + "x" * 9_000},
        {"triggers": ["message.created"] * 101}, {"triggers": ["x" * 500_000]}, {"state": "x" * 500_000},
        {"triggers": ["\ud800"]}, {"callback_url": "https://\ud800.example"},
    ],
)  # fmt: skip
def test_no_field_of_a_webhook_breaks_anything(call: Call, more: dict[str, Any]) -> None:
    wanted = {"callback_url": "https://desk.example/h", "triggers": ["message.created"], "state": "inactive"}
    assert call("POST", "webhooks", {**wanted, **more})[0] == 400


def test_what_was_missed_is_outages_failures_and_what_is_to_come(
    call: Call, here: MemoryServices, webhook: str, endpoint: LoopbackEndpoint
) -> None:
    assert call("GET", f"{webhook}/missed") == (200, {"outages": [], "failed": [], "behind": []})
    endpoint.status = 500
    change(here, "m1")
    assert call("GET", f"{webhook}/missed")[1]["behind"] == [{"account_id": "acc", "log_entries": 1}]
    endpoint.status = 410
    here.deliveries.rows = {
        key: replace(row, due_at=0) for key, row in here.deliveries.rows.items()
    }  # its next attempt is due
    here.queues.send([Wake(webhook_id=stored(here).id, application_id="app", lane="acc")], "")
    work(here)
    missed = call("GET", f"{webhook}/missed")[1]
    assert [one["attempts"][-1]["status"] for one in missed["failed"]] == [410]
    assert missed["behind"] == [] and stored(here).state == "inactive"
    history = [replace(change, at=change.at - 60, since=change.since - 60) for change in stored(here).history]
    here.webhooks.put(replace(stored(here), history=tuple(history)))
    [outage] = call("GET", f"{webhook}/missed")[1]["outages"]
    assert outage["until"] - outage["since"] >= 60


def test_health_tells_state_reason_and_recent_failures(
    call: Call, here: MemoryServices, webhook: str, endpoint: LoopbackEndpoint
) -> None:
    endpoint.status = 500
    change(here, "m1")
    health = call("GET", f"{webhook}/health")[1]
    assert (health["state"], health["consecutive_failures"]) == ("active", 1)
    assert health["last_15_minutes"] == {"attempts": 1, "failures": 1}
    assert health["next_probe_at"] is None and health["failing_since"] is not None
    assert [entry["state"] for entry in health["history"]] == ["active"]


def test_two_secrets_are_valid_while_one_is_replaced(
    call: Call, here: MemoryServices, webhook: str, endpoint: LoopbackEndpoint
) -> None:
    status, answer = call("POST", "rotate_secret", {"overlap_seconds": 600})
    new = answer["client_secret"]
    assert status == 200 and len(new) == 40 and answer["previous_valid_until"] > time.time() + 500
    assert [call("GET", webhook, secret=secret)[0] for secret in ("secret", new, "other")] == [200, 200, 401]
    change(here, "m1")
    [(headers, body)] = endpoint.received
    assert headers["X-Nylas-Signature"] == signature.sign("secret", body)
    assert headers["X-Nylas-Signature-Next"] == signature.sign(new, body)
    assert len(headers["webhook-signature"].split()) == 2
    assert call("POST", "rotate_secret", secret=new)[0] == 409
    last = call("POST", "rotate_secret", {"overlap_seconds": 0}, secret=new)[1]["client_secret"]
    assert [call("GET", webhook, secret=secret)[0] for secret in ("secret", new, last)] == [401, 401, 200]
    change(here, "m2")
    headers, body = endpoint.received[-1]
    assert headers["X-Nylas-Signature"] == signature.sign(last, body)
    assert "X-Nylas-Signature-Next" not in headers


@pytest.mark.parametrize("overlap", [-1, 7 * 86400 + 1, "1", True])
def test_an_overlap_is_at_most_a_week(call: Call, overlap: Any) -> None:
    assert call("POST", "rotate_secret", {"overlap_seconds": overlap})[0] == 400


def test_everything_needs_the_secret_of_this_application(
    call: Call, here: MemoryServices, webhook: str
) -> None:
    here.applications.create(Application(id="other", name="Other"), "theirs")
    paths = [
        ("GET", "/health"), ("GET", "/deliveries"), ("GET", "/missed"), ("POST", "/replay"),
        ("POST", "/test"),
        ("GET", "/deliveries/0"), ("POST", "/deliveries/0/replay"), ("DELETE", ""), ("PUT", ""),
    ]  # fmt: skip
    assert {call(method, webhook + path, secret="theirs")[0] for method, path in paths} == {401}
    assert call("POST", "rotate_secret", secret="theirs")[0] == 401


def test_a_removed_webhook_leaves_nothing_to_be_sent(
    call: Call, here: MemoryServices, webhook: str, endpoint: LoopbackEndpoint
) -> None:
    endpoint.status = 500
    change(here, "m1")
    assert call("DELETE", webhook) == (200, None)
    endpoint.received.clear()
    work(here)
    assert endpoint.received == [] and here.deliveries.all_lanes == {}
