"""The main job, as a customer does it: with the unmodified v2 Python SDK over https."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
import requests
from imapclient import SEEN
from nylas import APIClient

from infra.demo.dovecot import PASSWORD, Dovecot
from infra.demo.mailbox import make_mailbox
from infra.demo.submission import Submission
from infra.demo.visitor import fill, login
from tests.e2e.conftest import Endpoint, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "mira@kestrel.example"
COUNT = 120
BRAND_NEW = b"From: a@b.example\r\nSubject: brand new\r\nMessage-ID: <new@b>\r\n\r\nhello\r\n"


def connect(info: dict[str, Any], imap: Dovecot, smtp: Submission, user: str, **settings: Any) -> Any:
    """Return the answer of /connect/authorize."""
    return requests.post(
        f"{info['api_url']}/connect/authorize",
        timeout=60,
        json={
            "client_id": info["client_id"],
            "name": "Mira Okafor",
            "email_address": user,
            "provider": "imap",
            "scopes": "email",
            "settings": {
                "imap_host": "127.0.0.1",
                "imap_port": imap.imap,
                "imap_username": user,
                "imap_password": PASSWORD,
                "smtp_host": "127.0.0.1",
                "smtp_port": smtp.port,
                "smtp_username": user,
                "smtp_password": PASSWORD,
                "ssl_required": False,
                "ssl_verify": False,
                **settings,
            },
        },
    )


def token_of(info: dict[str, Any], code: str) -> dict[str, Any]:
    """Trade a code for the account and its access token."""
    answer = requests.post(
        f"{info['api_url']}/connect/token",
        timeout=30,
        json={"client_id": info["client_id"], "client_secret": info["client_secret"], "code": code},
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def account(info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission) -> dict[str, Any]:
    fill(imap_server, USER, COUNT)
    answer = connect(info, imap_server, smtp_server, USER)
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


def test_the_raw_message_is_what_the_server_holds(nylas: APIClient, imap_server: Dovecot) -> None:
    message = nylas.messages.where(**{"in": "inbox"}).first()
    with login(imap_server, USER) as client:
        client.select_folder("INBOX", readonly=True)
        held = [row[b"BODY[]"] for row in client.fetch(client.search(), ["BODY.PEEK[]"]).values()]
    assert message.raw in held


def test_an_attachment_downloads_as_it_was_sent(nylas: APIClient) -> None:
    message = nylas.messages.where(has_attachment="true").first()
    [file] = message["files"][:1]
    assert len(nylas.files.get(file["id"]).download()) == file["size"]


def test_new_mail_is_a_delta_and_a_webhook(
    nylas: APIClient, info: dict[str, Any], endpoint: Endpoint, imap_server: Dovecot
) -> None:
    created = requests.post(
        f"{info['api_url']}/a/{info['client_id']}/webhooks",
        auth=(info["client_secret"], ""),
        json={"callback_url": endpoint.url, "state": "active", "triggers": ["message.created"]},
        timeout=30,
    )
    assert created.status_code == 200, created.text
    cursor = nylas.deltas.latest_cursor()
    with login(imap_server, USER) as client:
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


def test_a_flag_set_by_the_api_reaches_the_server(nylas: APIClient, imap_server: Dovecot) -> None:
    message = nylas.messages.where(**{"in": "inbox", "unread": "true"}).first()
    message.mark_as_read()
    assert nylas.messages.get(message["id"])["unread"] is False

    def is_seen() -> bool:
        with login(imap_server, USER) as client:
            client.select_folder("INBOX", readonly=True)
            found = client.search(["HEADER", "Subject", message["subject"].split()[-1], "SEEN"])
            return bool(found) and SEEN in client.get_flags(found)[found[0]]

    eventually(is_seen)


def test_a_moved_message_keeps_its_id(nylas: APIClient, imap_server: Dovecot) -> None:
    message = nylas.messages.where(**{"in": "inbox", "view": "expanded"}).all(limit=1)[0]
    message_id = message["headers"]["Message-Id"].encode()
    trash = next(folder for folder in nylas.folders.all() if folder["name"] == "trash")
    message.update_folder(trash["id"])

    def is_moved() -> bool:
        with login(imap_server, USER) as client:
            client.select_folder("Trash", readonly=True)
            rows = client.fetch(client.search(), ["BODY.PEEK[HEADER]"]).values()
            return any(message_id in row[b"BODY[HEADER]"] for row in rows)

    eventually(is_moved)
    assert nylas.messages.get(message["id"]).folder.name == "trash"


def test_a_sent_mail_arrives_and_is_listed_once(
    nylas: APIClient, imap_server: Dovecot, smtp_server: Submission
) -> None:
    draft = nylas.drafts.create()
    draft.subject, draft.body = "Sent through Postern", "<p>hello</p>"
    draft.to = [{"name": "Weiß, Jonas", "email": "jonas@werft.example"}]
    draft.bcc = [{"name": "Größe, Tide", "email": "tide@harbour.example"}]
    sent = draft.send()
    wire = eventually(lambda: smtp_server.accepted)[-1]
    assert b"Sent through Postern" in wire and b"tide@harbour.example" not in wire
    assert sent["bcc"] == draft.bcc and sent["to"] == draft.to

    def copies() -> list[Any]:
        return list(nylas.messages.where(subject="Sent through Postern").all())

    eventually(lambda: [copy["id"] for copy in copies()] == [sent["id"]])
    eventually(lambda: copies()[0].folder.name == "sent")
    assert [copy["id"] for copy in nylas.messages.where(bcc="tide@harbour.example").all()] == [sent["id"]]
    with login(imap_server, USER) as client:
        client.select_folder("Sent", readonly=True)
        [row] = client.fetch(client.search(["SUBJECT", "Sent through Postern"]), ["BODY.PEEK[]"]).values()
    filed = row[b"BODY[]"].split(b"\r\n")
    assert [line for line in filed if b"tide@harbour.example" not in line] == wire.split(b"\r\n")


def test_a_wrong_password_names_the_login_step(
    info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission
) -> None:
    answer = connect(info, imap_server, smtp_server, "zoe@lind.example", imap_password="wrong")
    assert answer.status_code == 403
    assert (answer.json()["type"], answer.json()["error"]) == ("auth_error", "login")
