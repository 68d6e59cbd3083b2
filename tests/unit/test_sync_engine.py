"""The engine on a server and a store in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.account import Account, SyncState
from chalicelib.domain.delta import Event
from chalicelib.sync.engine import Outcome, Workspace, sync_account
from chalicelib.sync.ingest import record_sent
from tests.fakes.provider import MemoryProvider
from tests.fakes.store import Crash, Fuse, MemoryAccounts, MemoryBlobs, MemoryCheckpoints, MemoryMail

ACCOUNT = Account(
    id="a",
    application_id="app",
    email_address="mira@kestrel.example",
    name="Mira",
    provider="imap",
    state=SyncState.INITIALIZING,
    linked_at=0,
    scopes="email",
    history_days=0,
)


def mail(subject: str, number: int, references: str = "") -> bytes:
    refs = f"References: {references}\r\nIn-Reply-To: {references.split()[-1]}\r\n" if references else ""
    return (
        f"From: tide@harbour.example\r\nTo: mira@kestrel.example\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@harbour.example>\r\n{refs}Date: Thu, 15 Dec 2022 10:00:00 +0000\r\n"
        f"\r\nbody of {number}\r\n"
    ).encode()


@dataclass
class World:
    """A server, a store and what connects them."""

    server: MemoryProvider = field(default_factory=MemoryProvider)
    fuse: Fuse = field(default_factory=Fuse)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    accounts: MemoryAccounts = field(default_factory=lambda: MemoryAccounts(ACCOUNT))

    def __post_init__(self) -> None:
        self.mail = MemoryMail(fuse=self.fuse)
        self.checkpoints = MemoryCheckpoints(fuse=self.fuse)

    def sync(self) -> Outcome:
        work = Workspace(
            mail=self.mail,
            checkpoints=self.checkpoints,
            blobs=self.blobs,
            accounts=self.accounts,  # type: ignore[arg-type]  # the two calls the engine makes
            provider=lambda account: self.server,
        )
        return sync_account(work, self.accounts.account, Deadline.after(60))

    def flags_by_place(self) -> dict[tuple[str, str], str]:
        """What the store says of every place, by collection and remote id."""
        names = {folder.id: folder.collection for folder in self.mail.all_folders.values()}
        return {(names[f], id): place.flags for (f, id), place in self.mail.all_locations.items()}

    def check(self) -> None:
        """The store says what the server says, and its parts agree with each other."""
        assert self.flags_by_place() == self.server.listing()
        in_threads = {id: t.id for t in self.mail.all_threads.values() for id in t.entries}
        assert in_threads == {m.id: m.thread_id for m in self.mail.all_messages.values()}
        places = {(p.folder_id, p.remote_id): m.id for m in self.mail.all_messages.values() for p in m.places}
        assert places == {key: place.message_id for key, place in self.mail.all_locations.items()}


@pytest.fixture
def world() -> World:
    return World()


def test_a_first_sync_stores_every_message_once_and_starts_the_account(world: World) -> None:
    for number in range(120):
        world.server.deliver("INBOX", mail(f"m{number}", number), at=number)
    assert world.sync() is Outcome.CURRENT
    world.check()
    assert len(world.mail.all_messages) == 120
    assert world.accounts.account.state is SyncState.RUNNING


def test_a_second_sync_writes_nothing(world: World) -> None:
    world.server.deliver("INBOX", mail("one", 1), at=1)
    world.sync()
    before = world.fuse.count
    assert world.sync() is Outcome.CURRENT
    assert world.fuse.count == before


def test_a_reply_joins_its_thread(world: World) -> None:
    world.server.deliver("INBOX", mail("one", 1), at=1)
    world.server.deliver("INBOX", mail("Re: one", 2, "<1@harbour.example>"), at=2)
    world.sync()
    assert [len(thread.entries) for thread in world.mail.all_threads.values()] == [2]


def test_a_move_is_a_change_of_the_same_message(world: World) -> None:
    id = world.server.deliver("INBOX", mail("one", 1), at=1)
    world.sync()
    [before] = world.mail.all_messages
    world.server.move("INBOX", id, "Trash")
    world.mail.changes.clear()
    world.sync()
    world.check()
    assert list(world.mail.all_messages) == [before]
    events = [change.event for change in world.mail.changes if change.kind == "message"]
    assert events and set(events) == {Event.MODIFY}


def test_an_expunged_message_and_its_thread_are_deleted(world: World) -> None:
    id = world.server.deliver("INBOX", mail("one", 1), at=1)
    world.sync()
    world.server.expunge("INBOX", id)
    world.sync()
    assert (world.mail.all_messages, world.mail.all_threads, world.mail.all_locations) == ({}, {}, {})


def test_a_new_uidvalidity_keeps_ids_and_makes_no_noise(world: World) -> None:
    for number in range(5):
        world.server.deliver("INBOX", mail(f"m{number}", number), at=number)
    world.sync()
    ids = set(world.mail.all_messages)
    world.mail.changes.clear()
    world.server.renumber("INBOX")
    world.sync()
    world.check()
    assert set(world.mail.all_messages) == ids
    assert not [change for change in world.mail.changes if change.event is not Event.MODIFY]


@pytest.mark.parametrize("at", range(1, 60))
def test_a_crash_at_any_write_is_repaired_by_the_next_run(at: int) -> None:
    world = World()
    for number in range(6):
        reference = f"<{number - 1}@harbour.example>" if number % 2 else ""
        world.server.deliver("INBOX", mail(f"m{number}", number, reference), at=number)
    world.server.deliver("Sent", mail("m0", 0), at=0)
    world.fuse.at = at
    try:
        world.sync()
    except Crash:
        world.sync()
    world.check()
    created = [change.id for change in world.mail.changes if change.event is Event.CREATE]
    assert len(created) == len(set(created)), "an object was created twice"


def test_the_copy_of_a_sent_mail_is_the_message_sent(world: World) -> None:
    world.server.deliver("INBOX", mail("one", 1), at=1)
    world.server.deliver("Sent", mail("two", 2), at=2)
    world.sync()
    folders = {folder.collection: folder for folder in world.mail.all_folders.values()}
    raw = mail("Re: one", 3, "<1@harbour.example>")
    sent = record_sent(world.mail, world.blobs, ACCOUNT, raw, folders["Sent"], at=100)
    world.server.deliver("Sent", raw, at=101)
    world.sync()
    world.check()
    assert [m.id for m in world.mail.all_messages.values() if m.subject == "Re: one"] == [sent.id]
