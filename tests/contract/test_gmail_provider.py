"""Gmail over IMAP keeps the promises of a Provider; All Mail plays the inbox, for that is what is synced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from chalicelib.domain.remote import (
    BatchLimits,
    ChangeBatch,
    Collection,
    Cursor,
    Edit,
    Flags,
    Known,
    RemoteId,
    RemoteMessage,
)
from chalicelib.errors import ProviderError
from chalicelib.providers.base import Labelled, Provider
from chalicelib.providers.imap.adapter import ImapProvider
from chalicelib.providers.imap.fetch.mailbox import remote_id
from chalicelib.providers.imap.gmail.gmail import GmailProvider, connect, detect
from tests.contract.provider import Copy, ProviderContract, mail
from tests.fakes.gmail_account import HERE, settings_of
from tests.fakes.gmail_server import GmailServer
from tests.fakes.gmail_store import ENGLISH, GERMAN, GmailStore, Mail

ALL, SPAM, TRASH = ENGLISH["all"], ENGLISH["spam"], ENGLISH["trash"]
_NAMES = {"INBOX": ALL, "Sent": SPAM, "Trash": TRASH}
_FLAGS = {"a": "\\Answered", "d": "\\Draft", "f": "\\Flagged", "s": "\\Seen"}


@pytest.fixture
def server() -> Iterator[GmailServer]:
    with GmailServer() as running:
        yield running


@pytest.fixture
def store(server: GmailServer) -> GmailStore:
    return server.store("mira")


@dataclass
class UnderOtherNames:
    """The provider with the three synced mailboxes under the names the contract uses."""

    inner: GmailProvider

    def collections(self) -> Sequence[Collection]:
        names = {gmail: name for name, gmail in _NAMES.items()}
        return [replace(one, id=names[one.id]) for one in self.inner.collections() if one.id in names]

    def unchanged(
        self, collection: Collection, cursor: Cursor, since: int = 0, *, history: bool = True
    ) -> bool:
        return self.inner.unchanged(collection, cursor, since, history=history)

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        return self.inner.changes(self._real(collection), cursor, known, budget)

    def narrowed(self, cursor: Cursor, since: int) -> Cursor:
        return self.inner.narrowed(cursor, since)

    def listing(self, collection: Collection, cursor: Cursor, since: int = 0) -> Mapping[RemoteId, Flags]:
        return self.inner.listing(self._real(collection), cursor, since)

    def items(self, collection: Collection, ids: Sequence[RemoteId]) -> Sequence[RemoteMessage]:
        return self.inner.items(self._real(collection), ids)

    def fetch(self, collection_id: str, id: RemoteId) -> bytes:
        return self.inner.fetch(_NAMES[collection_id], id)

    def apply(self, edits: Sequence[Edit]) -> None:
        self.inner.apply(
            [
                replace(e, collection=_NAMES[e.collection], move_to=_NAMES[e.move_to] if e.move_to else None)
                for e in edits
            ]
        )

    def append(self, collection_id: str, raw: bytes, flags: Flags) -> None:
        self.inner.append(_NAMES[collection_id], raw, flags)

    def find(self, collection_id: str, message_id: str) -> RemoteId | None:
        return self.inner.find(_NAMES[collection_id], message_id)

    def close(self) -> None:
        self.inner.close()

    def _real(self, collection: Collection) -> Collection:
        return replace(collection, id=_NAMES[collection.id])


@dataclass
class Person:
    """Someone at Gmail's web page."""

    store: GmailStore

    def deliver(self, folder: str, raw: bytes, flags: str = "", at: int = 1_600_000_000) -> RemoteId:
        place = str(self.store.role(_NAMES[folder]))
        return self._id(folder, self.store.deliver(raw, (), {_FLAGS[f] for f in flags}, at, place))

    def flag(self, folder: str, id: RemoteId, flags: str) -> None:
        self.store.set_flags(self._mail(folder, id), {_FLAGS[f] for f in flags})

    def expunge(self, folder: str, id: RemoteId) -> None:
        self.store.purge(self._mail(folder, id))

    def renumber(self, folder: str) -> None:
        self.store.renumber(_NAMES[folder])

    def _id(self, folder: str, one: Mail) -> RemoteId:
        box = self.store.boxes[_NAMES[folder]]
        return remote_id(box.uidvalidity, box.uid_of(one))

    def _mail(self, folder: str, id: RemoteId) -> Mail:
        return self.store.boxes[_NAMES[folder]].mails[int(id.partition(".")[2])]


class TestGmail(ProviderContract):
    @pytest.fixture
    def provider(self, server: GmailServer, store: GmailStore) -> Iterator[UnderOtherNames]:
        opened = connect(settings_of(server), HERE)
        yield UnderOtherNames(opened)
        opened.close()

    @pytest.fixture
    def other(self, store: GmailStore) -> Person:
        return Person(store)

    def test_the_inbox_comes_first_and_roles_are_found(self, provider: Provider) -> None:
        assert isinstance(provider, UnderOtherNames)
        collections = provider.inner.collections()
        assert [one.role for one in collections if one.synced] == ["all", "spam", "trash"]
        assert collections[0].role == "all"
        labels = {one.role: one.name for one in collections if not one.synced}
        assert labels == {"inbox": "Inbox", "drafts": "Drafts", "important": "Important", "sent": "Sent Mail"}


@pytest.fixture
def gmail(server: GmailServer, store: GmailStore) -> Iterator[GmailProvider]:
    opened = connect(settings_of(server), HERE)
    yield opened
    opened.close()


def everything(provider: GmailProvider) -> tuple[RemoteMessage, ...]:
    """Return all that the first batch of All Mail brings, oldest first."""
    collection = provider.collections()[0]
    return provider.changes(collection, None, dict, BatchLimits()).arrived[::-1]


def test_a_message_comes_with_labels_identity_and_thread(gmail: GmailProvider, store: GmailStore) -> None:
    one = store.deliver(mail(1), ("\\Inbox", "\\Sent", "Muy Importante", "plain"), {"\\Flagged"}, thread=42)
    [message] = everything(gmail)
    assert message.labels == ("INBOX", "Muy Importante", "[Gmail]/Sent Mail", "plain")
    assert (message.identity, message.thread, message.flags) == (str(one.msgid), "42", "f")


@pytest.mark.parametrize("atoms", [False, True])
@pytest.mark.parametrize(
    "label", ['Ta"x\\es', "UID 7 FLAGS (\\Seen)", "a)b(", "Entw&APw-rfe", "Kestrel/Deep/Er", "{3}", "\\odd"]
)
def test_odd_labels_are_read_as_they_are(label: str, atoms: bool) -> None:
    with GmailServer(atoms) as server:
        server.store("mira").deliver(mail(1), ("\\Inbox", label), {"\\Flagged"})
        provider = connect(settings_of(server), HERE)
        [message] = everything(provider)
        assert set(message.labels) == {"INBOX", label} and message.flags == "f"
        if not label.startswith("\\"):
            assert label in {one.id for one in provider.collections()}
        provider.close()


def test_a_change_of_labels_comes_like_one_of_flags(gmail: GmailProvider, store: GmailStore) -> None:
    mails = [store.deliver(mail(n)) for n in range(3)]
    copy = Copy(gmail, folder=ALL).catch_up()
    store.add_labels(mails[1], ["Taxes"])
    store.remove_labels(mails[2], ["\\Inbox"])
    batch = copy.step()
    named = {store.boxes[ALL].mails[int(id.partition(".")[2])]: labels for id, labels in batch.labels.items()}
    assert named == {mails[1]: ("INBOX", "Taxes"), mails[2]: ()}
    assert copy.is_quiet()


def test_the_names_of_system_labels_are_found_by_attribute_not_by_name(server: GmailServer) -> None:
    server.stores["anna"] = GmailStore(GERMAN)
    server.stores["anna"].deliver(mail(1), ("\\Inbox", "\\Draft", "\\Important", "Sent", "Trash"))
    provider = connect(settings_of(server, "anna"), HERE)
    roles = {one.name: one.role for one in provider.collections()}
    assert roles == {
        "Alle Nachrichten": "all", "Spam": "spam", "Papierkorb": "trash", "Inbox": "inbox",
        "Entwürfe": "drafts", "Wichtig": "important", "Gesendet": "sent", "Sent": None, "Trash": None,
    }  # fmt: skip
    [message] = everything(provider)
    assert set(message.labels) == {"INBOX", GERMAN["drafts"], GERMAN["important"], "Sent", "Trash"}
    provider.close()


def test_a_hidden_all_mail_is_told_with_its_remedy(server: GmailServer) -> None:
    server.stores["anna"] = GmailStore(hidden=["all"])
    provider = connect(settings_of(server, "anna"), HERE)
    with pytest.raises(ProviderError, match="Show in IMAP") as caught:
        provider.collections()
    assert caught.value.details["step"] == "mailbox"
    provider.close()


@pytest.mark.parametrize(
    ("lacks", "kind"), [((), GmailProvider), (("X-GM-EXT-1",), ImapProvider), (("CONDSTORE",), ImapProvider)]
)
def test_what_the_server_offers_decides(lacks: tuple[str, ...], kind: type) -> None:
    with GmailServer(lacks=lacks) as server:
        provider = detect(settings_of(server), HERE)
        assert type(provider) is kind and isinstance(provider, Labelled) is (kind is GmailProvider)
        provider.close()


def test_an_account_with_labels_refuses_a_server_that_has_none() -> None:
    with GmailServer(lacks=["X-GM-EXT-1"]) as server, pytest.raises(ProviderError) as caught:
        connect(settings_of(server), HERE)
    assert caught.value.details["step"] == "mailbox"


def test_edits_change_labels_and_may_be_repeated(gmail: GmailProvider, store: GmailStore) -> None:
    one = store.deliver(mail(1), ("\\Inbox", 'Ta"x\\es'))
    [message] = everything(gmail)
    edit = Edit(
        collection=ALL, item=message.id, add_labels=("Entw&APw-rfe", ENGLISH["important"]),
        remove_labels=("INBOX", 'Ta"x\\es'), add=Flags("s"),
    )  # fmt: skip
    for _ in range(2):
        gmail.apply([edit])
        assert (one.labels, one.flags) == ({"Entw&APw-rfe", "\\Important"}, {"\\Seen"})


def test_labels_go_on_before_a_mail_moves(gmail: GmailProvider, store: GmailStore) -> None:
    one = store.deliver(mail(1))
    [message] = everything(gmail)
    gmail.apply(
        [Edit(collection=ALL, item=message.id, add_labels=("x",), remove_labels=("INBOX",), move_to=TRASH)]
    )
    assert (one.place, one.labels) == ("trash", {"x"})
    [binned] = gmail.changes(gmail.collections()[2], None, dict, BatchLimits()).arrived
    gmail.apply([Edit(collection=TRASH, item=binned.id, move_to="INBOX")])
    assert (one.place, one.labels, binned.identity) == ("all", {"x", "\\Inbox"}, message.identity)


def test_labels_can_be_asked_for_and_items_bear_them(gmail: GmailProvider, store: GmailStore) -> None:
    store.deliver(mail(1), ("\\Inbox", "x"))
    collection, [message] = gmail.collections()[0], everything(gmail)
    stale = RemoteId("0000000099.0000000001")
    assert gmail.labels(collection, [message.id, stale]) == {message.id: ("INBOX", "x")}
    assert [one.labels for one in gmail.items(collection, [message.id, stale])] == [("INBOX", "x")]
