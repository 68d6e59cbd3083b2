from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from chalice.test import Client

from app import app as APP
from chalicelib.domain.accounts.account import SyncState
from chalicelib.domain.remote import RemoteId
from chalicelib.errors import ProviderError
from chalicelib.formats.mime.mime import parse
from chalicelib.sync.mail.sent import record_sent
from tests.fakes.connections import proof
from tests.fakes.services import MemoryServices
from tests.worlds.api import ACCOUNT, FIRST, Call, basic, mail
from tests.worlds.api import call as call  # a fixture
from tests.worlds.api import here as here  # a fixture

BOTH = "cursor=0&include_types=file&exclude_types=file"


@pytest.mark.parametrize("auth", ["bearer token", basic("token"), "BASIC " + basic("token")[6:]])
def test_a_token_opens_its_account(call: Call, auth: str) -> None:
    status, account = call("GET", "/account", auth=auth)
    assert status == 200
    assert (account["id"], account["sync_state"], account["organization_unit"]) == (
        "acc",
        "running",
        "folder",
    )


@pytest.mark.parametrize("auth", ["", "Bearer", "Bearer nobody", "Basic !!", basic(""), "Digest x"])
def test_other_credentials_are_refused(here: MemoryServices, auth: str) -> None:
    with Client(APP) as client:
        answer = client.http.get("/messages", headers={"Authorization": auth})
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert answer.json_body["type"] == "invalid_request_error"


def test_messages_come_newest_first_with_bodies_and_folder(call: Call) -> None:
    status, found = call("GET", "/messages?limit=2&offset=1")
    assert status == 200 and [m["subject"] for m in found] == ["Survey 1", "Survey 0"]
    assert "Text 1" in found[0]["body"] and found[0]["folder"]["name"] == "inbox"
    assert found[0]["files"][0]["filename"] == "a b.csv"
    assert call("GET", "/messages?offset=9") == (200, [])


def test_a_page_draws_no_more_messages_than_it_shows(call: Call, here: MemoryServices) -> None:
    drawn: list[str] = []
    newest = here.mail.newest_messages

    def counting(*args: Any) -> Iterator[Any]:
        for message in newest(*args):
            drawn.append(message.id)
            yield message

    here.mail.newest_messages = counting  # type: ignore[method-assign,assignment]
    call("GET", "/messages?limit=1")
    assert len(drawn) == 1


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("&in=inbox", 3),
        ("&in=projects", 0),
        ("&folder_id=sent", 0),
        ("&unread=True", 0),
        ("&unread=FALSE", 3),
        ("&subject=Survey%201", 1),
        ("&subject=survey%201", 0),
        ("&any_email=x@y.example,TIDE@harbour.example", 3),
        ("&from=mira@kestrel.example", 0),
        ("&to=mira@kestrel.example", 3),
        (f"&received_before={FIRST}", 1),
        (f"&received_after={FIRST}", 2),
        ("&received_after=2022-12-15T10:26:41Z", 1),
        ("&filename=a%20b.csv&has_attachment=true", 3),
        ("&metadata_pair=a:b", 0),
    ],
)
def test_filters_of_messages(call: Call, query: str, count: int) -> None:
    assert call("GET", f"/messages?view=count{query}") == (200, {"count": count})


@pytest.mark.parametrize(
    "query",
    [
        "limit=1001", "limit=-1", "offset=x", "view=raw", "unread=1", "colour=red", "received_before=soon",
        "any_email=" + ",".join(["a@b.c"] * 26), "any_email=nobody", "has_attachment=false",
        "subject=" + "x" * 256, "thread_id=NOT-AN-ID",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/messages", "/threads"])
def test_a_bad_query_is_a_clear_400(call: Call, path: str, query: str) -> None:
    status, body = call("GET", f"{path}?{query}")
    assert status == 400 and body["type"] == "invalid_request_error" and body["message"]


def test_one_message_several_and_none(call: Call) -> None:
    ids = call("GET", "/messages?view=ids")[1]
    status, one = call("GET", f"/messages/{ids[0]}?view=expanded&offset=0")
    assert status == 200 and one["headers"]["Message-Id"] == "<2@harbour.example>"
    assert [m["id"] for m in call("GET", f"/messages/{ids[2]},{ids[0]},abc")[1]] == [ids[2], ids[0]]
    assert call("GET", f"/messages/{ids[2]}%2C{ids[0]}")[0] == 200
    assert call("GET", "/messages/abc")[0] == 404
    assert call("GET", "/messages/Not!")[0] == 400


@pytest.mark.parametrize(
    "path", ["/messages", "/messages/{id}", "/messages/{id},abc", "/messages/search?q=Survey"]
)
def test_what_is_here_by_its_beginning_only_is_shown_as_a_whole(
    call: Call, here: MemoryServices, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    stored = next(m for m in here.mail.all_messages.values() if m.subject == "Survey 1")
    place = replace(stored.places[0], remote_id=RemoteId("1.7"))
    here.mail.all_messages[stored.id] = replace(stored, raw=None, files=(), snippet="", places=(place,))
    del here.mail.all_bodies[stored.id]
    monkeypatch.setattr(here.server, "fetch", lambda collection, id: mail(1))
    status, answer = call("GET", path.format(id=stored.id))
    found = answer if isinstance(answer, list) else [answer]
    [shown] = [one for one in found if one["id"] == stored.id]
    assert status == 200 and "Text 1" in shown["body"] and shown["files"] and shown["snippet"]


def test_raw_and_download_need_no_matching_accept(call: Call, here: MemoryServices) -> None:
    [id, *_] = call("GET", "/messages?view=ids")[1]
    [file] = call("GET", f"/files?message_id={id}")[1]
    auth = {"Authorization": "Bearer token"}
    with Client(APP) as client:
        raw = client.http.get(f"/messages/{id}", headers={**auth, "Accept": "message/rfc822"})
        download = client.http.get(f"/files/{file['id']}/download", headers=auth)
    assert (raw.status_code, raw.headers["Content-Type"]) == (200, "message/rfc822")
    assert raw.body == mail(2)
    assert download.status_code == 200 and download.body.strip() == b"1;2"
    assert download.headers["Content-Disposition"] == 'attachment; filename="a b.csv"'


@pytest.mark.parametrize("key", ["folder", "folder_id"])
def test_a_message_is_moved_and_marked(call: Call, here: MemoryServices, key: str) -> None:
    [id, *_] = call("GET", "/messages?view=ids")[1]
    status, changed = call("PUT", f"/messages/{id}", {"unread": True, "starred": True, key: "projects"})
    assert status == 200 and changed["unread"] and changed["starred"]
    assert changed["folder"]["id"] == "projects"
    assert call("GET", f"/messages/{id}")[1]["folder"]["id"] == "projects"


@pytest.mark.parametrize(
    "body", [None, {}, [], {"unread": "yes"}, {"folder_id": "nope"}, {"folder_id": None}]
)
def test_a_bad_change_is_refused(call: Call, body: Any) -> None:
    [id, *_] = call("GET", "/messages?view=ids")[1]
    assert call("PUT", f"/messages/{id}", body)[0] == 400


@pytest.mark.parametrize("state", [SyncState.INVALID, SyncState.STOPPED])
def test_an_account_out_of_reach_is_read_but_not_written(
    call: Call, here: MemoryServices, state: SyncState
) -> None:
    here.accounts.transition(ACCOUNT, state)
    [id, *_] = call("GET", "/messages?view=ids")[1]
    assert call("PUT", f"/messages/{id}", {"unread": True})[0] == 403
    assert call("POST", "/send", {"to": [{"email": "a@b.example"}]})[0] == 403


def test_a_list_of_full_threads_stays_small(here: MemoryServices, call: Call) -> None:
    inbox = here.mail.all_folders["inbox"]
    for number in range(4, 600):
        answer = f"References: <1@harbour.example>\r\nX-Number: {number}\r\n"
        record_sent(here.mail, here.blobs, ACCOUNT, mail(number, answer), inbox, FIRST + number)
    listed = call("GET", "/threads?view=expanded")[1]
    full = max(listed, key=lambda thread: len(thread["messages"]))
    assert [message["id"] for message in full["messages"]] == full_ids(call, full["id"])[-100:]
    assert len(full_ids(call, full["id"])) == 500
    assert len(call("GET", f"/threads/{full['id']}?view=expanded")[1]["messages"]) == 500
    assert sum(len(thread["message_ids"]) for thread in call("GET", "/threads?limit=500")[1]) == 599


def full_ids(call: Call, id: str) -> list[str]:
    found: list[str] = call("GET", f"/threads/{id}")[1]["message_ids"]
    return found


def test_threads_are_listed_expanded_and_changed(call: Call) -> None:
    [thread, *_] = call("GET", "/threads")[1]
    assert thread["object"] == "thread" and thread["draft_ids"] == [] and isinstance(thread["version"], int)
    [expanded, *_] = call("GET", "/threads?view=expanded&limit=1")[1]
    assert "message_ids" not in expanded and "body" not in expanded["messages"][0]
    status, changed = call("PATCH", f"/threads/{thread['id']}", {"starred": True, "folder_id": "projects"})
    assert status == 200 and changed["starred"]
    assert "projects" in [folder["id"] for folder in changed["folders"]]
    assert call("PUT", f"/threads/{thread['id']}", {"colour": 1})[0] == 400
    assert call("GET", "/threads?from=tide@harbour.example&view=count")[1]["count"] >= 1
    assert call("GET", "/threads?from=mira@kestrel.example&view=count")[1]["count"] == 0


def test_folders_exist_and_labels_do_not(call: Call) -> None:
    assert {f["name"] for f in call("GET", "/folders")[1]} == {"inbox", "sent", None}
    assert call("GET", "/folders/inbox")[1]["object"] == "folder"
    assert call("GET", "/labels")[0] == 404 and call("GET", "/labels/x")[0] == 404
    for method, path in [("POST", "/labels"), ("PUT", "/labels/x"), ("DELETE", "/labels/x")]:
        assert call(method, path, {"display_name": "x"})[0] == 404


def test_deltas_lead_from_a_cursor_to_now(call: Call, here: MemoryServices) -> None:
    assert call("POST", "/delta/latest_cursor") == (200, {"cursor": "0"})
    here.log.append("acc", here.mail.changes, at=FIRST)
    status, batch = call("GET", "/delta?cursor=0&excluded_types=thread,%20folder,file")
    assert status == 200 and {d["object"] for d in batch["deltas"]} == {"message"}
    assert batch["deltas"][0]["attributes"]["subject"].startswith("Survey")
    assert batch["cursor_end"] == call("POST", "/delta/latest_cursor")[1]["cursor"]
    end = call("GET", f"/delta?cursor={batch['cursor_end']}")[1]
    assert end == {"cursor_start": batch["cursor_end"], "cursor_end": batch["cursor_end"], "deltas": []}


@pytest.mark.parametrize("query", ["", "cursor=zzz", "cursor=0&include_types=x", BOTH])
def test_a_bad_delta_request_is_a_400(call: Call, query: str) -> None:
    assert call("GET", f"/delta?{query}")[0] == 400


def test_a_mail_is_sent_filed_once_and_shown(call: Call, here: MemoryServices) -> None:
    people = {"to": [{"email": "tide@harbour.example"}], "bcc": [{"email": "b@x.example"}]}
    wanted = {**people, "subject": "S", "body": "<p>x</p>"}
    status, message = call("POST", "/send", wanted)
    assert status == 200 and message["object"] == "message" and not message["unread"]
    assert message["folder"]["name"] == "sent" and "x" in message["body"]
    [(sender, recipients, raw)] = here.server.mailed
    assert sender == "mira@kestrel.example" and recipients == ["tide@harbour.example", "b@x.example"]
    assert b"Bcc" not in raw and here.server.filed[0][0] == "SENT"
    here.server.files_itself = True
    call("POST", "/send", wanted)
    assert len(here.server.filed) == 1


def test_blind_recipients_are_shown_and_filed_and_found_and_not_on_the_wire(
    call: Call, here: MemoryServices
) -> None:
    blind = [{"email": "b@x.example", "name": "Größe, B."}]
    asked = {"to": [{"email": "tide@harbour.example"}], "bcc": blind, "body": "x"}
    message = call("POST", "/send", asked)[1]
    assert message["bcc"] == blind and message["cc"] == []
    [(_, _, wire)], [(_, filed, _)] = here.server.mailed, here.server.filed
    assert b"b@x.example" not in wire
    assert [(one.name, one.email) for one in parse(filed).bcc] == [("Größe, B.", "b@x.example")]
    assert [m["id"] for m in call("GET", "/messages?bcc=b@x.example")[1]] == [message["id"]]
    assert call("GET", f"/messages/{message['id']}")[1]["bcc"] == blind
    assert call("GET", "/threads?bcc=b@x.example&view=ids")[1] == [message["thread_id"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject", "a\u2028b"), ("subject", "a\x85b"), ("subject", "s" * 1_000_000),
        ("to", [{"email": "a@b.example", "name": "名" * 40_000}]),
        ("to", [{"email": "a@b.example"}] * 20_000), ("custom_headers", {"X-A": "v" * 100_000}),
        ("custom_headers", [{"name": "Orig-Date", "value": "x"}] * 2),
        ("custom_headers", [{"name": "X-A", "value": "a\u2029b"}]),
        ("custom_headers", {"ARC-Seal": "x"}), ("from", [{"email": "x\0b@y.org"}]), ("body", "b" * 5_000_001),
    ],
)  # fmt: skip
def test_what_no_header_holds_is_the_clients_error_and_nothing_is_sent(
    call: Call, here: MemoryServices, field: str, value: Any
) -> None:
    asked = {"to": [{"email": "tide@harbour.example"}], field: value}
    status, error = call("POST", "/send", asked)
    assert (status, error["type"]) == (413 if field == "body" else 400, "invalid_request_error")
    assert not here.server.mailed and not here.server.filed


def test_a_partly_refused_mail_is_a_402_with_failures(call: Call, here: MemoryServices) -> None:
    here.server.refused = {"b@x.example": (550, "5.1.1 unknown")}
    to = [{"email": "tide@harbour.example"}, {"email": "b@x.example"}]
    status, body = call("POST", "/send", {"to": to, "body": "x"})
    assert status == 402 and body["type"] == "api_error"
    assert body["failures"] == {"b@x.example": [550, "5.1.1 unknown"]}


def test_a_mail_that_is_out_is_a_success_even_if_it_cannot_be_filed(call: Call, here: MemoryServices) -> None:
    here.server.failure = ProviderError("over quota")
    assert call("POST", "/send", {"to": [{"email": "tide@harbour.example"}]})[0] == 200


def test_management_needs_the_client_secret(call: Call) -> None:
    assert call("GET", "/a/app/accounts")[0] == 401
    status, [account] = call("GET", "/a/app/accounts", auth=basic("secret"))
    assert status == 200 and account["email"] == "mira@kestrel.example"
    assert call("GET", "/a/app/accounts?offset=1", auth=basic("secret")) == (200, [])
    assert call("GET", "/a/app", auth=basic("secret"))[1]["application_name"] == "Kestrel Desk"
    assert call("GET", "/a/other", auth=basic("secret"))[0] == 401
    assert call("GET", "/a/app/accounts/nobody", auth=basic("secret"))[0] == 404


def test_a_code_is_exchanged_once(call: Call, here: MemoryServices) -> None:
    code = here.codes.issue(proof())
    body = {"client_id": "app", "client_secret": "secret", "code": code}
    status, account = call("POST", "/connect/token", body)
    assert status == 200 and account["billing_state"] == "paid"
    assert call("GET", "/account", auth=f"Bearer {account['access_token']}")[0] == 200
    assert call("POST", "/connect/token", body)[0] == 400
    assert call("POST", "/connect/token", {**body, "client_secret": "x"})[0] == 401


def test_an_incomplete_connection_names_what_is_missing(call: Call) -> None:
    status, body = call("POST", "/connect/authorize", {"client_id": "app"})
    assert (status, body["type"]) == (400, "auth_error")
    assert body["missing_fields"] == ["name", "email_address", "provider", "settings"]


def test_an_inactive_webhook_lives_through_its_life(call: Call) -> None:
    path, auth = "/a/app/webhooks", basic("secret")
    wanted = {"callback_url": "https://desk.example/h", "triggers": ["message.created"], "state": "inactive"}
    status, webhook = call("POST", path, wanted, auth=auth)
    assert status == 200 and webhook["version"] == "2.0" and webhook["application_id"] == "app"
    assert call("GET", path, auth=auth)[1] == [webhook]
    assert call("POST", path, wanted, auth=auth)[0] == 400
    assert call("PUT", f"{path}/{webhook['id']}", {"state": "asleep"}, auth=auth)[0] == 400
    assert call("DELETE", f"{path}/{webhook['id']}", auth=auth) == (200, None)
    assert call("GET", f"{path}/{webhook['id']}", auth=auth)[0] == 404


@pytest.mark.parametrize(
    "change",
    [
        {"triggers": []},
        {"triggers": ["x.y"]},
        {"callback_url": "ftp://a.example"},
        {"callback_url": "https://a.example/" + "x" * 1900},
        {"state": "failing"},
    ],
)
def test_a_bad_webhook_is_refused(call: Call, change: dict[str, Any]) -> None:
    wanted = {"callback_url": "https://desk.example/h", "triggers": ["message.created"], "state": "inactive"}
    assert call("POST", "/a/app/webhooks", {**wanted, **change}, auth=basic("secret"))[0] == 400


def test_an_unforeseen_error_tells_nothing(
    call: Call, here: MemoryServices, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(account_id: str) -> Any:
        raise RuntimeError("secret text")

    here.mail.folders = broken  # type: ignore[method-assign]
    status, body = call("GET", "/folders")
    assert status == 500 and body["type"] == "api_error"
    assert "secret text" not in caplog.text + str(body)
