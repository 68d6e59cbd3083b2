"""The main job, as a customer does it: with the unmodified v2 Python SDK over https, on every mail server."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import requests
from imapclient import SEEN
from nylas import APIClient

from infra.demo.dovecot import Dovecot
from infra.demo.mailbox import make_mailbox
from infra.demo.submission import Submission
from tests.e2e.conftest import FINISH_SECONDS, Endpoint, eventually
from tests.e2e.connecting import connect, token_of
from tests.servers.mailbox import ROLES, Mailbox
from tests.servers.running import SERVERS, running

pytestmark = [pytest.mark.e2e, pytest.mark.server]
COUNT = 120
BRAND_NEW = b"From: a@b.example\r\nSubject: brand new\r\nMessage-ID: <new@b>\r\n\r\nhello\r\n"


class Kept(Submission):
    """Takes mail and delivers none of it: its recipients live elsewhere."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.accepted.append(envelope.content)
        return "250 OK"


@pytest.fixture(scope="module", params=SERVERS)
def mailbox(request: pytest.FixtureRequest) -> Iterator[Mailbox]:
    """The user's mailbox, on each server in turn."""
    with running(request.param) as server:
        box = server.add_user(f"mira@{request.param}.example")
        yield box.create(*ROLES, *sorted({message.folder for message in make_mailbox(COUNT)}))


@pytest.fixture(scope="module")
def smtp_server() -> Iterator[Submission]:
    with Kept(cast(Dovecot, None)) as server:
        yield server


@pytest.fixture(scope="module")
def account(info: dict[str, Any], mailbox: Mailbox, smtp_server: Submission) -> dict[str, Any]:
    with mailbox.login() as client:
        for message in make_mailbox(COUNT):
            at = datetime.fromtimestamp(message.at, UTC)
            client.append(mailbox.folder(message.folder), message.raw, message.flags, at)
    answer = connect(info, mailbox, smtp_server, mailbox.user)
    assert answer.status_code == 200, answer.text
    return token_of(info, answer.json()["code"])


@pytest.fixture(scope="module")
def nylas(info: dict[str, Any], account: dict[str, Any]) -> APIClient:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", info["ca_file"])
        client = APIClient(
            info["client_id"], info["client_secret"], account["access_token"], api_server=info["https_url"]
        )
        eventually(lambda: client.messages.where(view="count").count() == COUNT)
        eventually(lambda: client.account["sync_state"] == "running")
        yield client


def test_every_message_is_there_once(nylas: APIClient) -> None:
    subjects = sorted(message["subject"] for message in nylas.messages.all())
    assert len({message["id"] for message in nylas.messages.all()}) == COUNT
    assert len(subjects) == COUNT


def test_threads_are_the_conversations(nylas: APIClient) -> None:
    threads = nylas.threads.all()
    made = list(make_mailbox(COUNT))
    roots = sum(b"\nReferences:" not in message.raw for message in made)
    assert len(threads) == roots
    assert sum(len(thread["message_ids"]) for thread in threads) == COUNT


def test_folders_have_their_roles(nylas: APIClient) -> None:
    roles = {folder["display_name"]: folder["name"] for folder in nylas.folders.all()}
    assert roles["INBOX"] == "inbox" and roles["Sent"] == "sent" and roles["Projects/Kestrel"] is None


def test_the_raw_message_is_what_the_server_holds(nylas: APIClient, mailbox: Mailbox) -> None:
    message = nylas.messages.where(**{"in": "inbox"}).first()
    with mailbox.login() as client:
        client.select_folder("INBOX", readonly=True)
        held = [row[b"BODY[]"] for row in client.fetch(client.search(), ["BODY.PEEK[]"]).values()]
    assert message.raw in held


def test_an_attachment_downloads_as_it_was_sent(nylas: APIClient) -> None:
    message = nylas.messages.where(has_attachment="true").first()
    [file] = message["files"][:1]
    assert len(nylas.files.get(file["id"]).download()) == file["size"]


def test_new_mail_is_a_delta_and_a_webhook(
    nylas: APIClient, info: dict[str, Any], endpoint: Endpoint, mailbox: Mailbox
) -> None:
    created = requests.post(
        f"{info['api_url']}/a/{info['client_id']}/webhooks",
        auth=(info["client_secret"], ""),
        json={"callback_url": endpoint.url, "state": "active", "triggers": ["message.created"]},
        timeout=30,
    )
    assert created.status_code == 200, created.text
    cursor = nylas.deltas.latest_cursor()
    with mailbox.login() as client:
        client.append(
            "INBOX", b"From: a@b.example\r\nSubject: brand new\r\nMessage-ID: <new@b>\r\n\r\nhello\r\n"
        )
    deltas = eventually(lambda: nylas.deltas.since(cursor).deltas)
    assert ("message", "create") in {(delta["object"], delta["event"]) for delta in deltas}
    headers, body = eventually(lambda: endpoint.received)[0]
    [told] = json.loads(body)["deltas"]
    assert told["type"] == "message.created" and told["object_data"]["account_id"] == nylas.account["id"]
    signature = hmac.new(info["client_secret"].encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Nylas-Signature"] == signature


def test_a_flag_set_by_the_api_reaches_the_server(nylas: APIClient, mailbox: Mailbox) -> None:
    message = nylas.messages.where(**{"in": "inbox", "unread": "true"}).first()
    message.mark_as_read()
    assert nylas.messages.get(message["id"])["unread"] is False

    def is_seen() -> bool:
        with mailbox.login() as client:
            client.select_folder("INBOX", readonly=True)
            found = client.search(["HEADER", "Subject", message["subject"].split()[-1], "SEEN"])
            return bool(found) and SEEN in client.get_flags(found)[found[0]]

    eventually(is_seen)


def test_a_moved_message_keeps_its_id(nylas: APIClient, mailbox: Mailbox) -> None:
    message = nylas.messages.where(**{"in": "inbox", "view": "expanded"}).all(limit=1)[0]
    message_id = message["headers"]["Message-Id"].encode()
    trash = next(folder for folder in nylas.folders.all() if folder["name"] == "trash")
    message.update_folder(trash["id"])

    def is_moved() -> bool:
        with mailbox.login() as client:
            client.select_folder(mailbox.folder("Trash"), readonly=True)
            rows = client.fetch(client.search(), ["BODY.PEEK[HEADER]"]).values()
            return any(message_id in row[b"BODY[HEADER]"] for row in rows)

    eventually(is_moved)
    assert nylas.messages.get(message["id"]).folder.name == "trash"


def send(nylas: APIClient, subject: str) -> Any:
    """Send a mail and return what the API says of it."""
    draft = nylas.drafts.create()
    draft.subject, draft.body = subject, "<p>hello</p>"
    draft.to = [{"name": "Weiß, Jonas", "email": "jonas@werft.example"}]
    draft.bcc = [{"name": "Größe, Tide", "email": "tide@harbour.example"}]
    return draft.send()


def filed(mailbox: Mailbox, subject: str) -> dict[int, bytes]:
    """Return what lies in Sent under a subject, by UID."""
    with mailbox.login() as client:
        client.select_folder(mailbox.folder("Sent"), readonly=True)
        found = client.search(["HEADER", "Subject", subject])
        return {uid: row[b"BODY[]"] for uid, row in client.fetch(found, ["BODY.PEEK[]"]).items()}


def test_a_sent_mail_arrives_and_is_listed_once(
    nylas: APIClient, smtp_server: Submission, mailbox: Mailbox
) -> None:
    sent = send(nylas, "Sent through Postern")
    wire = eventually(lambda: smtp_server.accepted)[-1]
    assert b"Sent through Postern" in wire and b"tide@harbour.example" not in wire
    assert [one["email"] for one in sent["bcc"]] == ["tide@harbour.example"]
    assert [one["name"] for one in (*sent["to"], *sent["bcc"])] == ["Weiß, Jonas", "Größe, Tide"]

    def copies() -> list[Any]:
        return list(nylas.messages.where(subject="Sent through Postern").all())

    eventually(lambda: [copy["id"] for copy in copies()] == [sent["id"]])
    eventually(lambda: copies()[0].folder.name == "sent")
    assert [copy["id"] for copy in nylas.messages.where(bcc="tide@harbour.example").all()] == [sent["id"]]
    [copy] = filed(mailbox, "Sent through Postern").values()
    lines = [line for line in copy.split(b"\r\n") if b"tide@harbour.example" not in line]
    assert lines == wire.split(b"\r\n")


@pytest.mark.parametrize("wait", [0, FINISH_SECONDS + 3], ids=["at once", "later"])
def test_a_sent_mail_that_another_program_deletes_is_told_and_never_filed_again(
    nylas: APIClient, mailbox: Mailbox, wait: int
) -> None:
    subject = f"Deleted after {wait} seconds"
    cursor = nylas.deltas.latest_cursor()
    sent = send(nylas, subject)
    [uid] = eventually(lambda: filed(mailbox, subject))
    time.sleep(wait)
    with mailbox.login() as client:
        client.select_folder(mailbox.folder("Sent"))
        client.delete_messages([uid])
        client.expunge()
    eventually(lambda: "delete" in told(nylas, cursor, sent["id"]), seconds=60)
    time.sleep(max(0, FINISH_SECONDS + 3 - wait))
    assert filed(mailbox, subject) == {}
    with pytest.raises(requests.HTTPError):
        nylas.messages.get(sent["id"])


def told(nylas: APIClient, cursor: str, id: str) -> set[str]:
    """Return which changes of a message were told since a cursor; there are few."""
    deltas = nylas.deltas.since(cursor).deltas or []
    return {delta["event"] for delta in deltas if (delta["object"], delta["id"]) == ("message", id)}


def test_a_wrong_password_names_the_login_step(
    info: dict[str, Any], mailbox: Mailbox, smtp_server: Submission
) -> None:
    answer = connect(info, mailbox, smtp_server, mailbox.user, imap_password="wrong")
    assert answer.status_code == 403
    assert (answer.json()["type"], answer.json()["error"]) == ("auth_error", "login")
