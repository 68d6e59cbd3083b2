"""A Gmail account as a customer works with it: with the unmodified v2 Python SDK over https."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nylas import APIClient
from requests import HTTPError

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from tests.e2e.conftest import eventually
from tests.e2e.connecting import connect, token_of
from tests.fakes.gmail_server import PASSWORD, GmailServer
from tests.fakes.gmail_store import GERMAN, GmailStore

pytestmark = pytest.mark.e2e
USER = "jonas@kestrel.example"


def mail(number: int, subject: str) -> bytes:
    head = f"From: tide@harbour.example\r\nTo: {USER}\r\nMessage-ID: <{number}@harbour.example>\r\n"
    return f"{head}Subject: {subject}\r\n\r\ntext {number}\r\n".encode()


class GmailSubmission(Submission):
    """Files what it takes itself, in its own time, as Gmail does."""

    def __init__(self, store: GmailStore) -> None:
        super().__init__(cast(Dovecot, None))
        self._store = store

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.accepted.append(envelope.content)
        self._store.deliver(b"X-Gmail: yes\r\n" + envelope.content, ("\\Sent",), {"\\Seen"}, 1_700_000_500)
        return "250 OK"


@pytest.fixture(scope="module")
def gmail() -> Iterator[GmailServer]:
    with GmailServer() as server:
        store = server.stores[USER] = GmailStore(GERMAN)
        store.deliver(
            mail(0, "Tide tables"), ("\\Inbox", "Harbour", "Kestrel/Deep"), at=1_700_000_000, thread=77
        )
        store.deliver(mail(1, "Something else"), ("\\Inbox",), at=1_700_000_100, thread=77)
        store.deliver(mail(2, "Filed away"), ("Harbour",), {"\\Seen"}, at=1_700_000_200)
        store.deliver(mail(3, "You won"), (), at=1_700_000_300, place="spam")
        yield server


@pytest.fixture(scope="module")
def store(gmail: GmailServer) -> GmailStore:
    return gmail.stores[USER]


@pytest.fixture(scope="module")
def nylas(info: dict[str, Any], gmail: GmailServer, store: GmailStore) -> Iterator[APIClient]:
    with GmailSubmission(store) as smtp, pytest.MonkeyPatch.context() as patch:
        imap = cast(Dovecot, SimpleNamespace(imap=gmail.port))
        answer = connect(info, imap, smtp, USER, imap_password=PASSWORD)
        assert answer.status_code == 200, answer.text
        account = token_of(info, answer.json()["code"])
        assert (account["provider"], account["organization_unit"]) == ("gmail", "label")
        patch.setenv("REQUESTS_CA_BUNDLE", info["ca_file"])
        client = APIClient(
            info["client_id"], info["client_secret"], account["access_token"], api_server=info["https_url"]
        )
        eventually(lambda: client.messages.where(view="count").count() == 4)
        yield client


def labels(nylas: APIClient) -> dict[str, str]:
    """Return the ids of labels by role or display name."""
    return {label["name"] or label["display_name"]: label["id"] for label in nylas.labels.all()}


def shown(message: Any) -> set[str]:
    return {label["name"] or label["display_name"] for label in message.labels}


def one(nylas: APIClient, subject: str) -> Any:
    return nylas.messages.where(subject=subject).first()


def test_labels_are_listed_with_roles_and_names(nylas: APIClient) -> None:
    roles = {label["name"]: label["display_name"] for label in nylas.labels.all() if label["name"]}
    assert roles == {
        "all": "Alle Nachrichten", "drafts": "Entwürfe", "important": "Wichtig", "inbox": "Inbox",
        "sent": "Gesendet", "spam": "Spam", "trash": "Papierkorb",
    }  # fmt: skip
    assert {"Harbour", "Kestrel/Deep"} < labels(nylas).keys()
    with pytest.raises(HTTPError):
        nylas.folders.all()


def test_a_message_bears_its_labels_and_threads_are_gmails(nylas: APIClient) -> None:
    assert shown(one(nylas, "Tide tables")) == {"all", "inbox", "Harbour", "Kestrel/Deep"}
    assert shown(one(nylas, "You won")) == {"spam"}
    sizes = sorted(len(thread["message_ids"]) for thread in nylas.threads.all())
    assert sizes == [1, 1, 2]
    harbour = nylas.labels.get(labels(nylas)["Harbour"])
    assert {m["subject"] for m in harbour.messages.all()} == {"Tide tables", "Filed away"}


def test_labels_set_by_the_api_reach_gmail(nylas: APIClient, store: GmailStore) -> None:
    message, known = one(nylas, "Filed away"), labels(nylas)
    message.add_label(known["inbox"])
    assert shown(nylas.messages.get(message["id"])) == {"all", "inbox", "Harbour"}
    eventually(lambda: store.mails[2].labels == {"Harbour", "\\Inbox"})
    message.remove_labels([known["inbox"], known["Harbour"]])
    eventually(lambda: store.mails[2].labels == set())
    # A sync that was under way between the two may show the first once more.
    eventually(lambda: shown(nylas.messages.get(message["id"])) == {"all"})


def test_a_label_set_at_gmail_is_a_delta(nylas: APIClient, store: GmailStore, info: dict[str, Any]) -> None:
    message = one(nylas, "Filed away")
    cursor = nylas.deltas.latest_cursor()
    store.add_labels(store.mails[2], ["Neu"])
    message.star()  # has the account looked at

    def is_told() -> bool:
        return "Neu" in shown(nylas.messages.get(message["id"]))

    eventually(is_told)

    def told() -> set[tuple[str, str]]:
        return {(delta["object"], delta["event"]) for delta in nylas.deltas.since(cursor).deltas}

    eventually(lambda: {("message", "modify"), ("thread", "modify"), ("label", "create")} <= told())


def test_the_bin_is_a_label(nylas: APIClient, store: GmailStore) -> None:
    message, known = one(nylas, "Something else"), labels(nylas)
    message.update_labels([known["trash"]])
    assert shown(message) == {"trash"}
    eventually(lambda: store.mails[1].place == "trash")
    eventually(lambda: shown(nylas.messages.get(message["id"])) == {"trash"})
    nylas.messages.get(message["id"]).update_labels([known["inbox"]])
    eventually(lambda: (store.mails[1].place, store.mails[1].labels) == ("all", {"\\Inbox"}))
    eventually(lambda: shown(nylas.messages.get(message["id"])) == {"all", "inbox"})


def test_archiving_a_thread_takes_all_of_it_out_of_the_inbox(nylas: APIClient, store: GmailStore) -> None:
    [thread] = [one for one in nylas.threads.all() if len(one["message_ids"]) == 2]
    thread.remove_label(labels(nylas)["inbox"])
    eventually(lambda: not any("\\Inbox" in mail.labels for mail in store.mails[:2]))
    eventually(lambda: nylas.messages.where(**{"in": "inbox", "view": "count"}).count() == 0)


def test_sent_mail_is_filed_by_gmail_and_listed_once(nylas: APIClient, store: GmailStore) -> None:
    draft = nylas.drafts.create()
    draft.subject, draft.body = "From the bridge", "<p>hello</p>"
    draft.to = [{"name": "Mira", "email": "mira@kestrel.example"}]
    sent = draft.send()

    def filed() -> list[Any]:
        return list(nylas.messages.where(subject="From the bridge").all())

    one(nylas, "You won").mark_as_read()  # has the account looked at
    eventually(lambda: not any("\\Seen" not in mail.flags for mail in store.mails if mail.place == "spam"))
    assert [message["id"] for message in filed()] == [sent["id"]]
    assert shown(filed()[0]) == {"all", "sent"}
    assert sum(b"From the bridge" in mail.raw for mail in store.mails) == 1
