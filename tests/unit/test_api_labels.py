"""The API of an account that labels its mail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from chalice.test import Client

from app import app as APP
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.accounts.traits import GMAIL
from chalicelib.domain.jobs import ApplyEdits, QueuedEdit
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Place
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.services import Services, use
from chalicelib.store.values import Revised
from chalicelib.sync.mail.sent import record_sent
from tests.fakes.services import MemoryServices
from tests.worlds.api import ACCOUNT as FOLDER_ACCOUNT
from tests.worlds.api import FIRST, basic, mail
from tests.worlds.openapi import FILE, answer_schema, mistakes

ACCOUNT = replace(FOLDER_ACCOUNT, provider=GMAIL)
ROLES = {"all": "[Gmail]/All Mail", "spam": "[Gmail]/Spam", "trash": "[Gmail]/Trash", "inbox": "INBOX"} | {
    "sent": "[Gmail]/Sent Mail", "drafts": "[Gmail]/Drafts", "important": "[Gmail]/Important",
}  # fmt: skip
Call = Callable[..., tuple[int, Any]]


def label(id: str, role: str | None, collection: str) -> Folder:
    return Folder(
        id=id, account_id="acc", collection=collection, display_name=collection.removeprefix("[Gmail]/"),
        role=role, created_at=1, label=True,
    )  # fmt: skip


@pytest.fixture
def here() -> Iterator[MemoryServices]:
    made = MemoryServices()
    made.accounts.rows["acc"] = ACCOUNT
    made.applications.create(Application(id="app", name="Kestrel Desk"), "secret")
    made.tokens.tokens["token"] = "acc"
    labels = [label(role, role, name) for role, name in ROLES.items()] + [label("taxes", None, "Taxes")]
    made.mail.save_folders("acc", [Revised(None, one) for one in labels])
    for number, name in enumerate(["inbox", "inbox", "sent"]):
        raw = mail(number, "In-Reply-To: <0@harbour.example>\r\n" if number else "")
        record_sent(made.mail, made.blobs, ACCOUNT, raw, made.mail.all_folders[name], FIRST + number)
    for message in list(made.mail.all_messages.values()):  # as if sync had seen them
        [place] = message.places
        named = Place(place.folder_id, cast(Any, f"1.{message.date}"), place.flags)
        made.mail.all_messages[message.id] = replace(message, places=(named,))
    with use(cast(Services, made)):
        yield made


@pytest.fixture
def call(here: MemoryServices) -> Iterator[Call]:
    with Client(APP) as client:

        def request(method: str, path: str, body: Any = None, auth: str = "Bearer token") -> tuple[int, Any]:
            headers = {"Content-Type": "application/json", "Authorization": auth}
            raw = b"" if body is None else json.dumps(body).encode()
            answer = client.http.request(method, path, headers=headers, body=raw)
            return answer.status_code, answer.json_body

        yield request


def names(shown: dict[str, Any]) -> set[str]:
    return {one["id"] for one in shown["labels"]}


def queued(here: MemoryServices) -> list[QueuedEdit]:
    return [edit for job in here.queues.of(ApplyEdits) for edit in job.edits]


def test_the_account_says_that_it_has_labels(call: Call) -> None:
    _, account = call("GET", "/account")
    assert (account["provider"], account["organization_unit"]) == ("gmail", "label")
    assert call("GET", "/a/app/accounts/acc", auth=basic("secret"))[1]["provider"] == "gmail"


def test_labels_are_listed_and_folders_are_not(call: Call) -> None:
    _, listed = call("GET", "/labels")
    assert {(one["name"], one["display_name"], one["object"]) for one in listed} >= {
        ("all", "All Mail", "label"), ("inbox", "INBOX", "label"), (None, "Taxes", "label"),
    }  # fmt: skip
    assert call("GET", "/labels?view=count") == (200, {"count": 8})
    assert call("GET", "/labels/taxes")[1]["display_name"] == "Taxes"
    assert call("GET", "/labels/nobody")[0] == 404
    for method, path in [("GET", "/folders"), ("GET", "/folders/taxes")]:
        status, error = call(method, path)
        assert status == 404 and error["type"] == "invalid_request_error" and "labels" in error["message"]
    for method, path in [("POST", "/labels"), ("PUT", "/labels/taxes"), ("DELETE", "/labels/taxes")]:
        assert call(method, path, {"display_name": "x"})[0] == 405
    with Client(APP) as client:
        refused = client.http.post("/labels", headers={"Authorization": "Bearer token"})
    assert refused.headers["Allow"] == "GET"


def test_messages_and_threads_show_labels_and_no_folder(call: Call) -> None:
    _, [newest, *_] = call("GET", "/messages")
    assert names(newest) == {"all", "sent"} and "folder" not in newest
    assert newest["labels"][0].keys() == {"id", "name", "display_name"}
    _, [thread] = call("GET", "/threads?view=expanded")
    assert names(thread) == {"all", "sent", "inbox"} and "folders" not in thread
    assert names(thread["messages"][0]) == {"all", "inbox"}
    assert thread["last_message_sent_timestamp"] == FIRST + 2


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("in=inbox", 2),
        ("in=all", 3),
        ("in=Sent%20Mail", 1),
        ("label_id=taxes", 0),
        ("in=sent&unread=false", 1),
    ],
)
def test_mail_is_found_by_any_of_its_labels(call: Call, query: str, count: int) -> None:
    assert call("GET", f"/messages?{query}&view=count") == (200, {"count": count})
    assert call("GET", f"/threads?{query}&view=count") == (200, {"count": min(count, 1)})


def first(call: Call) -> str:
    """Return the id of the oldest message: it is in the inbox."""
    return str(call("GET", "/messages")[1][-1]["id"])


@pytest.mark.parametrize("key", ["label_ids", "labels"])
def test_a_put_replaces_the_labels_of_a_message(call: Call, here: MemoryServices, key: str) -> None:
    status, message = call("PUT", f"/messages/{first(call)}", {key: ["taxes", "important"], "starred": True})
    assert status == 200 and names(message) == {"all", "taxes", "important"} and message["starred"]
    [edit] = queued(here)
    assert edit == QueuedEdit(
        collection="[Gmail]/All Mail", item=RemoteId(f"1.{FIRST}"), add=Flags("f"), remove=Flags(""),
        add_labels=("Taxes", "[Gmail]/Important"), remove_labels=("INBOX",),
    )  # fmt: skip
    assert names(call("GET", "/threads")[1][0]) == {"all", "inbox", "sent", "taxes", "important"}


def test_the_bin_is_a_move_and_takes_the_inbox_off(call: Call, here: MemoryServices) -> None:
    _, message = call("PUT", f"/messages/{first(call)}", {"label_ids": ["trash", "taxes"]})
    assert names(message) == {"trash", "taxes"}
    [edit] = queued(here)
    assert (edit.move_to, edit.add_labels, edit.remove_labels) == (
        "[Gmail]/Trash", ("Taxes",), ("INBOX",),
    )  # fmt: skip


def test_a_mail_comes_back_from_the_bin_by_a_move_into_the_inbox(call: Call, here: MemoryServices) -> None:
    id = first(call)
    message = here.mail.all_messages[id]
    place = replace(message.places[0], folder_id="trash")
    here.mail.all_messages[id] = replace(message, places=(place,), folder_id="trash", label_ids=("taxes",))
    assert names(call("PUT", f"/messages/{id}", {"label_ids": ["inbox"]})[1]) == {"all", "inbox"}
    [edit] = queued(here)
    assert (edit.collection, edit.move_to) == ("[Gmail]/Trash", "INBOX")
    assert (edit.add_labels, edit.remove_labels) == ((), ("Taxes",))


def test_the_same_labels_again_are_no_change(call: Call, here: MemoryServices) -> None:
    assert call("PUT", f"/messages/{first(call)}", {"label_ids": ["inbox", "all"]})[0] == 200
    assert call("PUT", f"/messages/{first(call)}", {"unread": False})[0] == 200
    assert not here.queues.sent


def test_a_put_replaces_the_labels_of_a_thread(call: Call, here: MemoryServices) -> None:
    [thread] = call("GET", "/threads")[1]
    status, shown = call("PUT", f"/threads/{thread['id']}", {"label_ids": ["all", "sent", "taxes"]})
    assert status == 200 and names(shown) == {"all", "sent", "taxes"}
    assert [names(one) for one in call("GET", "/messages")[1]] == [
        {"all", "sent", "taxes"}, {"all", "taxes"}, {"all", "taxes"},
    ]  # fmt: skip
    assert [edit.remove_labels for edit in queued(here)] == [("INBOX",), ("INBOX",), ()]


def test_drafts_of_a_thread_are_left_alone(call: Call, here: MemoryServices) -> None:
    id = first(call)
    message = here.mail.all_messages[id]
    draft = replace(message, places=tuple(replace(p, flags=cast(Any, "ds")) for p in message.places))
    here.mail.all_messages[id] = replace(draft, label_ids=("drafts",))
    [thread] = call("GET", "/threads")[1]
    wanted = ["all", "sent", "drafts", "inbox", "taxes"]
    assert call("PUT", f"/threads/{thread['id']}", {"label_ids": wanted})[0] == 200
    assert here.mail.all_messages[id].label_ids == ("drafts",)
    assert len(queued(here)) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"label_ids": []},
        {"label_ids": "inbox"},
        {"label_ids": [1]},
        {"label_ids": ["nobody"]},
        {"label_ids": None},
        {"label_ids": ["all", "sent"]},
        {"label_ids": ["spam", "trash"]},
        {"folder_id": "inbox"},
        {"folder": "inbox"},
    ],
)
def test_what_gmail_does_not_do_is_refused(call: Call, here: MemoryServices, body: dict[str, Any]) -> None:
    for path in (f"/messages/{first(call)}", f"/threads/{call('GET', '/threads')[1][0]['id']}"):
        if path.startswith("/threads") and body == {"label_ids": ["all", "sent"]}:
            continue  # the thread has sent mail already
        status, error = call("PUT", path, body)
        assert (status, error["type"]) == (400, "invalid_request_error"), body
    assert not here.queues.sent


def test_sent_cannot_be_taken_off(call: Call) -> None:
    newest = call("GET", "/messages")[1][0]
    status, error = call("PUT", f"/messages/{newest['id']}", {"label_ids": ["all"]})
    assert status == 400 and "sent" in error["message"]


def test_sent_mail_is_left_to_gmail_to_file(call: Call, here: MemoryServices) -> None:
    status, sent = call("POST", "/send", {"to": [{"email": "a@b.example"}], "subject": "hello", "body": "x"})
    assert status == 200 and names(sent) == {"all", "sent"}
    assert here.server.mailed and not here.server.filed


@pytest.mark.parametrize(
    ("method", "path", "request_path", "body"),
    [
        ("GET", "/account", "/account", None),
        ("GET", "/labels", "/labels", None),
        ("GET", "/labels", "/labels?view=ids", None),
        ("GET", "/labels/{id}", "/labels/taxes", None),
        ("GET", "/folders", "/folders", None),
        ("GET", "/messages", "/messages?view=expanded", None),
        ("PUT", "/messages/{id}", "/messages/{message}", {"label_ids": ["taxes"]}),
        ("GET", "/threads", "/threads?view=expanded", None),
        ("PUT", "/threads/{id}", "/threads/{thread}", {"labels": ["taxes", "sent"]}),
        ("GET", "/delta", "/delta?cursor=0", None),
        ("GET", "/a/{client_id}/accounts/{id}", "/a/app/accounts/acc", None),
    ],
)
def test_a_real_answer_has_the_form_the_reference_promises(
    call: Call, here: MemoryServices, method: str, path: str, request_path: str, body: Any
) -> None:
    here.log.append("acc", here.mail.changes, at=FIRST)
    ids = {"message": first(call), "thread": call("GET", "/threads?view=ids")[1][0]}
    auth = basic("secret") if path.startswith("/a/") else "Bearer token"
    status, answer = call(method, request_path.format(**ids), body, auth=auth)
    assert status == (404 if path == "/folders" else 200)
    assert mistakes(answer_schema(path, method, status), answer) == []
    asked = FILE["paths"][path][method.lower()].get("requestBody")
    assert not asked or mistakes(asked["content"]["application/json"]["schema"], body) == []
