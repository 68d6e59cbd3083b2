"""docs/openapi.yaml is valid, lists exactly the routes there are, and tells what they really answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from openapi_spec_validator import validate

from app import app
from chalicelib.api.mail import filters
from chalicelib.api.mail.folders import NOT_OFFERED
from chalicelib.domain.accounts.account import SyncState
from chalicelib.domain.accounts.trouble import FailureKind
from chalicelib.domain.log.delta import Change, Delta, Operation
from chalicelib.domain.sync.quarantine import Cause
from chalicelib.domain.webhooks.webhook import TOLD_STATES, TRIGGERS
from chalicelib.http.query import PAGE
from chalicelib.providers.network import client
from chalicelib.providers.network.egress import EgressPolicy
from chalicelib.webhooks.delivery import payload
from chalicelib.wire.log import application_cursor
from chalicelib.wire.webhooks import delivery as ledger
from tests.fakes.connections import proof
from tests.fakes.endpoint import LoopbackEndpoint
from tests.fakes.services import MemoryServices
from tests.worlds.api import ACCOUNT, FIRST, Call, basic
from tests.worlds.api import call as call  # a fixture
from tests.worlds.api import here as here  # a fixture
from tests.worlds.endpoints import endpoint as endpoint  # a fixture
from tests.worlds.endpoints import work
from tests.worlds.openapi import FILE, answer_schema, looked_up, mistakes
from tests.worlds.trouble import ENTRY, troubled

METHODS = {"get", "put", "post", "delete", "patch"}
SECRET = basic("secret")
DELIVERIES = "/a/{client_id}/webhooks/{id}/deliveries"
DELIVERY = DELIVERIES + "/{delivery_id}"
HEALTH, MISSED, REPLAY, TEST = (
    "/a/{client_id}/webhooks/{id}/" + name for name in ("health", "missed", "replay", "test")
)
QUARANTINE, REMOVALS = ("/a/{client_id}/accounts/{id}/" + name for name in ("quarantine", "removals"))
HOOK = {"callback_url": "https://desk.example/h", "triggers": ["message.created"], "state": "inactive"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in FILE["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


def test_the_file_is_valid() -> None:
    validate(FILE)


def test_the_file_lists_the_routes_and_methods_of_the_app() -> None:
    listed = {
        path: {method.upper() for method in METHODS & set(item)} for path, item in FILE["paths"].items()
    }
    served = {path: set(methods) - NOT_OFFERED.get(path, frozenset()) for path, methods in app.routes.items()}
    assert listed == served


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping of the file but examples."""
    if isinstance(node, dict):
        yield node
    values = [value for key, value in node.items() if key != "example"] if isinstance(node, dict) else node
    for value in values if isinstance(values, list) else ():
        yield from mappings(value)


def test_every_array_says_of_what() -> None:
    """Generators of clients drop a schema that has an array without items, however short it must be."""
    assert [
        one
        for one in mappings(FILE)
        if one.get("type") == "array" and not {"items", "prefixItems"} & one.keys()
    ] == []


def test_no_comma_cuts_a_description_in_two() -> None:
    """In a flow mapping `a: b, c` means two keys, and the second one has no value."""
    assert [key for one in mappings(FILE) for key, value in one.items() if value is None] == []


def test_every_operation_has_an_answer_that_is_no_error() -> None:
    assert [
        (path, method)
        for path, method, one in operations()
        if not any(code < "3" for code in one["responses"])
    ] == []


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids)) > 30


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/messages", filters.MESSAGES | PAGE),
        ("/threads", filters.THREADS | PAGE),
    ],
)
def test_the_parameters_are_those_the_code_takes(path: str, names: frozenset[str]) -> None:
    references = [looked_up(one["$ref"]) for one in FILE["paths"][path]["get"]["parameters"]]
    assert {parameter["name"] for parameter in references} == names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (path, looked_up(parameter["$ref"])["name"])
        for path, method, operation in operations()
        for parameter in operation.get("parameters", ())
        if method == "get" and "$ref" in parameter
    ],
)
def test_every_listed_parameter_is_known_to_its_route(call: Call, path: str, name: str) -> None:
    auth = SECRET if path.startswith("/a/") else "Bearer token"
    id = call("POST", "/a/app/webhooks", HOOK, auth=SECRET)[1]["id"] if "/webhooks/" in path else "x"
    status, answer = call("GET", f"{path.format(client_id='app', id=id)}?{name}=%00", auth=auth)
    assert status in (200, 400, 404)
    assert "Unexpected query parameter" not in str(answer)


def test_the_triggers_and_states_are_those_of_the_code() -> None:
    schemas = FILE["components"]["schemas"]
    assert set(schemas["Trigger"]["enum"]) == TRIGGERS
    assert set(schemas["ManagedAccount"]["properties"]["sync_state"]["enum"]) == set(SyncState)
    assert set(schemas["SyncError"]["properties"]["kind"]["enum"]) == set(FailureKind)
    assert set(schemas["Quarantined"]["properties"]["cause"]["enum"]) == set(Cause)
    assert set(schemas["WebhookState"]["enum"]) == TOLD_STATES | {"failed", "inactive"}
    assert set(schemas["DeliveryState"]["enum"]) == set(ledger.STATES)


def _examples(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, dict):
        if "schema" in node and "example" in node:
            yield node["schema"], node["example"]
        for value in node.values():
            yield from _examples(value)
    elif isinstance(node, list):
        for value in node:
            yield from _examples(value)


def test_every_example_has_the_form_its_schema_asks_for() -> None:
    found = list(_examples(FILE))
    assert len(found) > 10
    for schema, example in found:
        assert mistakes(schema, example) == [], example


def _ids(call: Call, here: MemoryServices, endpoint: LoopbackEndpoint) -> dict[str, str]:
    """Return an id of each kind; the webhook has been told of a message and refuses the next one."""
    here.web = client.Client(reach=EgressPolicy(local=True), timeout=5)
    hook = {**HOOK, "callback_url": endpoint.url, "state": "active"}
    webhook = call("POST", "/a/app/webhooks", hook, auth=SECRET)[1]["id"]
    found = next(change for change in here.mail.changes if change.kind == "message")
    message = replace(found, attributes=(("thread_id", "t"), ("received_date", FIRST)))
    for endpoint.status in (200, 500):
        here.log.append("acc", [message], int(time.time()))
        cast(Any, here).announce(ACCOUNT, here.log.head("acc")[0])
        work(here)
    endpoint.status = 200
    told = next(one for one in here.deliveries.rows.values() if one.state == "delivered")
    kinds = {
        kind: call("GET", f"/{kind}s?view=ids")[1][0] for kind in ("message", "thread", "folder", "file")
    }
    start = application_cursor.encode("app", application_cursor.Places())
    troubled(here)
    return {**kinds, "entry": ENTRY.id, "webhook": webhook, "delivery": told.id, "start": start}


@pytest.mark.parametrize(
    ("method", "path", "request_path", "body"),
    [
        ("GET", "/account", "/account", None),
        ("GET", "/account/progress", "/account/progress", None),
        ("GET", "/messages/search", "/messages/search?q=Survey&view=expanded", None),
        ("GET", "/messages/search", "/messages/search?q=Survey&view=ids", None),
        ("GET", "/threads/search", "/threads/search?q=Survey", None),
        ("GET", "/threads/search", "/threads/search?q=Survey&view=expanded", None),
        ("GET", "/messages", "/messages", None),
        ("GET", "/messages", "/messages?view=expanded", None),
        ("GET", "/messages", "/messages?view=ids", None),
        ("GET", "/messages", "/messages?view=count", None),
        ("GET", "/messages/{id}", "/messages/{message}?view=expanded", None),
        ("GET", "/messages/{id}", "/messages/{message},{message}", None),
        ("PUT", "/messages/{id}", "/messages/{message}", {"starred": True, "folder_id": "projects"}),
        ("PATCH", "/messages/{id}", "/messages/{message}", {"unread": True}),
        ("GET", "/threads", "/threads", None),
        ("GET", "/threads", "/threads?view=expanded", None),
        ("GET", "/threads", "/threads?view=count", None),
        ("GET", "/threads/{id}", "/threads/{thread}", None),
        ("GET", "/threads/{id}", "/threads/{thread}?view=expanded", None),
        ("PUT", "/threads/{id}", "/threads/{thread}", {"unread": False}),
        ("GET", "/folders", "/folders", None),
        ("GET", "/folders/{id}", "/folders/{folder}", None),
        ("GET", "/files", "/files", None),
        ("GET", "/files", "/files?view=ids", None),
        ("GET", "/files/{id}", "/files/{file}", None),
        ("POST", "/send", "/send", {"to": [{"email": "tide@harbour.example"}], "body": "x"}),
        ("POST", "/delta/latest_cursor", "/delta/latest_cursor", None),
        ("GET", "/delta", "/delta?cursor=0", None),
        ("POST", "/delta/generate_cursor", "/delta/generate_cursor", {"start": FIRST}),
        ("GET", "/delta", "/delta?cursor=0&view=expanded", None),
        ("GET", "/delta", "/delta?cursor=0&seq=true&historical=true", None),
        ("GET", "/delta", "/delta?cursor=0&exclude_account=false", None),
        ("GET", "/delta/longpoll", "/delta/longpoll?cursor=0&timeout=0", None),
        ("GET", "/delta/longpoll", "/delta/longpoll?cursor=0&timeout=0&seq=true&historical=true", None),
        ("POST", "/a/{client_id}/deltas/latest_cursor", "/a/app/deltas/latest_cursor", None),
        (
            "POST",
            "/a/{client_id}/deltas/latest_cursor",
            "/a/app/deltas/latest_cursor",
            {"cursor": "{start}", "accounts": ["acc"]},
        ),
        ("GET", "/a/{client_id}/deltas", "/a/app/deltas?cursor={start}", None),
        ("GET", "/a/{client_id}/deltas", "/a/app/deltas?cursor={start}&seq=true&historical=true", None),
        ("POST", "/a/{client_id}/deltas", "/a/app/deltas", {"cursor": "{start}"}),
        ("GET", "/a/{client_id}", "/a/app", None),
        ("PUT", "/a/{client_id}", "/a/app", {"application_name": "Desk"}),
        ("GET", "/a/{client_id}/accounts", "/a/app/accounts", None),
        ("GET", "/a/{client_id}/accounts/{id}", "/a/app/accounts/acc", None),
        (
            "PUT",
            "/a/{client_id}/accounts/{id}",
            "/a/app/accounts/acc",
            {"history_days": 5, "folder_history_days": {"spam": "none", "inbox": 9, "sent": None}},
        ),
        ("POST", "/a/{client_id}/accounts/{id}", "/a/app/accounts/acc", {"history_days": None}),
        ("GET", "/a/{client_id}/accounts/{id}/progress", "/a/app/accounts/acc/progress", None),
        ("GET", QUARANTINE, "/a/app/accounts/acc/quarantine", None),
        ("GET", QUARANTINE, "/a/app/accounts/acc/quarantine?state=skipped&limit=1&offset=0", None),
        ("GET", f"{QUARANTINE}/{{entry_id}}", "/a/app/accounts/acc/quarantine/{entry}", None),
        ("POST", f"{QUARANTINE}/{{entry_id}}/retry", "/a/app/accounts/acc/quarantine/{entry}/retry", None),
        ("POST", f"{QUARANTINE}/{{entry_id}}/skip", "/a/app/accounts/acc/quarantine/{entry}/skip", None),
        ("GET", REMOVALS, "/a/app/accounts/acc/removals", None),
        ("POST", f"{REMOVALS}/{{folder_id}}/confirm", "/a/app/accounts/acc/removals/f1/confirm", None),
        ("GET", "/a/{client_id}/webhooks", "/a/app/webhooks", None),
        ("POST", "/a/{client_id}/webhooks", "/a/app/webhooks", {**HOOK, "callback_url": "https://b.example"}),
        ("GET", "/a/{client_id}/webhooks/{id}", "/a/app/webhooks/{webhook}", None),
        ("PUT", "/a/{client_id}/webhooks/{id}", "/a/app/webhooks/{webhook}", {"state": "inactive"}),
        ("PUT", "/a/{client_id}/webhooks/{id}", "/a/app/webhooks/{webhook}", {"state": "active"}),
        ("DELETE", "/a/{client_id}/webhooks/{id}", "/a/app/webhooks/{webhook}", None),
        ("GET", HEALTH, "/a/app/webhooks/{webhook}/health", None),
        ("GET", DELIVERIES, "/a/app/webhooks/{webhook}/deliveries", None),
        ("GET", DELIVERIES, "/a/app/webhooks/{webhook}/deliveries?state=pending&since=0&limit=1", None),
        ("GET", DELIVERY, "/a/app/webhooks/{webhook}/deliveries/{delivery}", None),
        ("POST", f"{DELIVERY}/replay", "/a/app/webhooks/{webhook}/deliveries/{delivery}/replay", None),
        ("POST", REPLAY, "/a/app/webhooks/{webhook}/replay", {"since": int(time.time()) - 60}),
        (
            "POST",
            REPLAY,
            "/a/app/webhooks/{webhook}/replay",
            {"since": int(time.time()) - 60, "failed_only": True, "account_id": "acc"},
        ),
        ("GET", MISSED, "/a/app/webhooks/{webhook}/missed", None),
        ("POST", TEST, "/a/app/webhooks/{webhook}/test", None),
        ("POST", TEST, "/a/app/webhooks/{webhook}/test", {"trigger": "job.failed"}),
        ("POST", "/a/{client_id}/rotate_secret", "/a/app/rotate_secret", None),
        ("POST", "/a/{client_id}/rotate_secret", "/a/app/rotate_secret", {"overlap_seconds": 0}),
    ],
)
def test_a_real_answer_has_the_form_the_file_promises(
    call: Call,
    here: MemoryServices,
    endpoint: LoopbackEndpoint,
    method: str,
    path: str,
    request_path: str,
    body: Any,
) -> None:
    account = Change(account_id="acc", kind="account", id="acc", event=Operation.MODIFY, rev=1)
    here.log.append("acc", [*here.mail.changes, account], at=FIRST)
    ids = _ids(call, here, endpoint)
    sent = {key: ids["start"] if value == "{start}" else value for key, value in (body or {}).items()}
    auth = SECRET if path.startswith("/a/") else "Bearer token"
    status, answer = call(method, request_path.format(**ids), sent or None, auth=auth)
    assert status == 200, answer
    assert mistakes(answer_schema(path, method, status), answer) == []
    asked = FILE["paths"][path][method.lower()].get("requestBody")
    assert not sent or mistakes(asked["content"]["application/json"]["schema"], sent) == []


def test_the_token_answer_has_the_form_the_file_promises(call: Call, here: MemoryServices) -> None:
    code = {"code": here.codes.issue(proof())}
    assert mistakes(FILE["components"]["schemas"]["Code"], code) == []
    status, answer = call("POST", "/connect/token", {"client_id": "app", "client_secret": "secret", **code})
    assert mistakes(answer_schema("/connect/token", "POST", status), answer) == []


@pytest.mark.parametrize(
    ("method", "path", "request_path", "body", "expected"),
    [
        ("POST", "/connect/authorize", "/connect/authorize", {"client_id": "app"}, 400),
        ("POST", "/connect/token", "/connect/token", {}, 400),
        ("GET", "/messages", "/messages?limit=x", None, 400),
        ("GET", "/messages/{id}", "/messages/abc", None, 404),
        ("GET", "/messages/search", "/messages/search", None, 400),
        ("GET", "/labels", "/labels", None, 404),
        ("GET", "/labels/{id}", "/labels/x", None, 404),
        ("PUT", "/a/{client_id}/accounts/{id}", "/a/app/accounts/acc", None, 400),
        ("GET", "/delta", "/delta?cursor=zzz", None, 400),
        ("GET", "/a/{client_id}", "/a/other", None, 401),
        ("GET", QUARANTINE, "/a/app/accounts/acc/quarantine?state=suspect", None, 400),
        ("GET", QUARANTINE, "/a/app/accounts/other/quarantine", None, 404),
        ("GET", f"{QUARANTINE}/{{entry_id}}", "/a/app/accounts/acc/quarantine/0", None, 404),
        ("POST", f"{REMOVALS}/{{folder_id}}/confirm", "/a/app/accounts/acc/removals/0/confirm", None, 404),
        ("GET", DELIVERY, "/a/app/webhooks/{webhook}/deliveries/0", None, 404),
        ("GET", DELIVERIES, "/a/app/webhooks/{webhook}/deliveries?state=lost", None, 400),
        ("POST", REPLAY, "/a/app/webhooks/{webhook}/replay", {"since": 0}, 400),
        ("POST", TEST, "/a/app/webhooks/{webhook}/test", {"trigger": "tide.turned"}, 400),
        ("POST", "/a/{client_id}/rotate_secret", "/a/app/rotate_secret", {"overlap_seconds": -1}, 400),
    ],
)
def test_an_error_has_the_form_the_file_promises(
    call: Call, method: str, path: str, request_path: str, body: Any, expected: int
) -> None:
    webhook = call("POST", "/a/app/webhooks", HOOK, auth=SECRET)[1]["id"]
    auth = SECRET if request_path.startswith("/a/app/") else "Bearer token"
    status, answer = call(method, request_path.format(webhook=webhook), body, auth=auth)
    assert status == expected
    assert mistakes(answer_schema(path, method, status), answer) == []


def test_a_second_rotation_has_the_error_the_file_promises(call: Call) -> None:
    path = "/a/{client_id}/rotate_secret"
    new = call("POST", "/a/app/rotate_secret", auth=SECRET)[1]["client_secret"]
    status, answer = call("POST", "/a/app/rotate_secret", auth=basic(new))
    assert status == 409 and mistakes(answer_schema(path, "POST", 409), answer) == []


def test_a_cursor_of_all_accounts_that_is_too_old_names_them(call: Call, here: MemoryServices) -> None:
    here.log.append("acc", here.mail.changes, at=FIRST)
    here.log.first = 2
    start = application_cursor.encode("app", application_cursor.Places())
    status, answer = call("GET", f"/a/app/deltas?cursor={start}", auth=SECRET)
    assert status == 400 and answer["accounts"] == ["acc"]
    assert mistakes(answer_schema("/a/{client_id}/deltas", "GET", 400), answer) == []


def test_a_notification_has_the_form_the_file_promises() -> None:
    schema = FILE["webhooks"]["notification"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    facts: dict[str, tuple[tuple[str, str | int], ...]] = {
        "message": (("thread_id", "t"), ("received_date", 5)),
        "account": (("sync_state", "running"),),
    }
    changes = [
        Change(account_id="acc", kind=kind, id="x", event=Operation.MODIFY, rev=1, attributes=attributes)
        for kind, attributes in facts.items()
    ]
    body = payload.build(Delta(seq=1, at=FIRST, change=change) for change in changes)
    assert mistakes(schema, json.loads(body)) == []


@pytest.mark.parametrize("trigger", sorted(TRIGGERS))
def test_a_test_notification_has_the_form_the_file_promises(
    call: Call, here: MemoryServices, endpoint: LoopbackEndpoint, trigger: str
) -> None:
    ids = _ids(call, here, endpoint)
    call("POST", "/a/app/rotate_secret", auth=SECRET)
    call("POST", f"/a/app/webhooks/{ids['webhook']}/test", {"trigger": trigger}, auth=SECRET)
    told = FILE["webhooks"]["notification"]["post"]
    headers, body = endpoint.received[-1]
    assert json.loads(body)["deltas"][0]["type"] == trigger
    assert mistakes(told["requestBody"]["content"]["application/json"]["schema"], json.loads(body)) == []
    for parameter in told["parameters"]:
        assert mistakes(parameter["schema"], headers[parameter["name"]]) == []


def test_a_failed_send_has_the_form_the_file_promises(call: Call, here: MemoryServices) -> None:
    people = {"to": [{"email": "tide@harbour.example"}, {"email": "b@x.example"}]}
    here.server.refused = {"b@x.example": (550, "5.1.1 unknown")}
    status, answer = call("POST", "/send", people)
    assert status == 402 and mistakes(answer_schema("/send", "POST", 402), answer) == []
    here.accounts.transition(ACCOUNT, SyncState.INVALID)
    status, answer = call("POST", "/send", people)
    assert status == 403 and mistakes(answer_schema("/send", "POST", 403), answer) == []
