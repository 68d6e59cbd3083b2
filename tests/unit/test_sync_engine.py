"""The engine on a server and a store in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import SyncState
from chalicelib.domain.accounts.trouble import FOLDER_PASSES, FailureKind
from chalicelib.domain.log.delta import Operation
from chalicelib.domain.remote import BatchLimits, ChangeBatch, Collection, Cursor, Flags, Known, RemoteId
from chalicelib.errors import SyncFailure
from chalicelib.sending.compose import Stamp, compose
from chalicelib.sending.letter import load
from chalicelib.store.values import MailChanges
from chalicelib.sync.engine import session
from chalicelib.sync.engine.run import Outcome, sync_account
from chalicelib.sync.mail.sent import record_sent
from tests.fakes.mail import mail
from tests.fakes.provider import Box, MemoryProvider
from tests.worlds.sync import ACCOUNT, World


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
    assert world.sync() is Outcome.QUIET
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
    assert events and set(events) == {Operation.MODIFY}


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
    assert not [change for change in world.mail.changes if change.event is not Operation.MODIFY]


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


@pytest.mark.parametrize("files_itself", [True, False])
def test_a_mail_with_blind_recipients_is_one_message_whoever_files_it(
    world: World, files_itself: bool
) -> None:
    letter = load({"to": [{"email": "a@x.example"}], "bcc": [{"email": "b@x.example", "name": "B, b"}]})
    sent = compose(ACCOUNT, letter, None, Stamp("<id@kestrel.example>", 100))
    world.server.deliver("Sent", mail("two", 2), at=2)
    world.sync()
    folders = {folder.collection: folder for folder in world.mail.all_folders.values()}
    mine = record_sent(world.mail, world.blobs, ACCOUNT, sent.copy, folders["Sent"], at=100)
    world.server.deliver("Sent", sent.wire if files_itself else sent.copy, at=101)
    world.sync()
    world.check()
    found = [m for m in world.mail.all_messages.values() if m.message_id == "<id@kestrel.example>"]
    assert [m.id for m in found] == [mine.id] and found[0].bcc == mine.bcc == letter.bcc


def test_a_server_that_counts_nothing_is_asked_once_and_nothing_is_written(world: World) -> None:
    world.server.counts = False
    world.server.deliver("INBOX", mail("one", 1), at=1)
    world.sync()
    writes, world.server.steps = world.fuse.count, []
    assert world.sync() is Outcome.QUIET
    assert world.fuse.count == writes
    assert sorted(world.server.steps) == sorted(world.server.boxes)


def test_a_worker_that_finds_another_at_work_leaves_it_alone(world: World) -> None:
    world.server.deliver("INBOX", mail("one", 1), at=1)
    world.checkpoints.rival = True
    assert world.sync() is Outcome.BUSY
    assert world.fuse.count == 0 and not world.mail.all_messages


def test_a_worker_overtaken_before_it_has_the_lease_begins_again(world: World) -> None:
    world.server.counts = False
    world.sync()
    world.server.deliver("INBOX", mail("one", 1), at=1)

    def overtake() -> None:
        world.checkpoints.before_lease = lambda: None
        world.sync()

    world.checkpoints.before_lease = overtake
    assert world.sync() is Outcome.CURRENT
    world.check()
    assert len(world.mail.all_messages) == 1


def test_mail_from_before_the_window_is_not_fetched(world: World) -> None:
    day = 86_400
    world.history_days = 30
    for number, age in enumerate((1, 29, 40, 400)):
        world.server.deliver("INBOX", mail(f"m{number}", number), at=int(world.now) - age * day)
    world.sync()
    assert sorted(m.subject for m in world.mail.all_messages.values()) == ["m0", "m1"]
    world.history_days = 50
    world.sync()
    assert sorted(m.subject for m in world.mail.all_messages.values()) == ["m0", "m1", "m2"]


def test_a_folder_that_goes_while_we_look_at_it_does_not_end_the_sync(world: World) -> None:
    world.server.boxes["Old"] = Box()
    world.server.deliver("Old", mail("one", 1), at=1)
    world.server.deliver("Sent", mail("two", 2), at=2)

    def delete(folder: str) -> None:
        world.server.boxes.pop("Old", None)

    world.server.meanwhile = delete
    assert world.sync() is Outcome.CURRENT
    world.sync()
    world.check()
    assert [m.subject for m in world.mail.all_messages.values()] == ["two"]


class Barred(MemoryProvider):
    """Lists a folder that nobody can open."""

    def collections(self) -> Sequence[Collection]:
        return [*super().collections(), Collection(id="Barred", name="Barred", role=None, token="")]


def test_a_folder_that_is_listed_and_cannot_be_opened_is_named_and_soon_costs_no_write() -> None:
    world = World(server=Barred())
    world.server.deliver("INBOX", mail("one", 1), at=1)
    assert world.sync() is Outcome.CURRENT
    world.check()
    [barred] = [one.id for one in world.mail.all_folders.values() if one.collection == "Barred"]
    for _ in range(FOLDER_PASSES - 1):
        assert world.sync() is Outcome.QUIET
    trouble = world.accounts.account.trouble
    assert trouble is not None and (trouble.fault, trouble.folders) == (FailureKind.FOLDER, ((barred, 3),))
    assert world.accounts.account.state is SyncState.PARTIAL
    writes = world.fuse.count
    assert world.sync() is Outcome.QUIET
    assert world.fuse.count == writes


SECRET = "words of a mail"


class Failing(MemoryProvider):
    """Some folders' answers, or the listing's, are more than its adapter can read."""

    def __init__(self, *folders: str, counts: bool = True) -> None:
        super().__init__(counts)
        self.folders, self.unlisted = folders, False

    def collections(self) -> Sequence[Collection]:
        if self.unlisted:
            raise KeyError(SECRET)
        return super().collections()

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        if collection.id in self.folders:
            raise ValueError(SECRET)
        return super().changes(collection, cursor, known, budget)


@pytest.mark.parametrize("folder", ["INBOX", "Sent"])
def test_what_nobody_foresaw_in_one_folder_stops_no_other_and_is_told(folder: str) -> None:
    world = World(server=Failing(folder))
    other = "Sent" if folder == "INBOX" else "INBOX"
    world.server.deliver(other, mail("one", 1), at=1)
    world.server.deliver(folder, mail("two", 2), at=1)
    world.sync()
    assert [m.subject for m in world.mail.all_messages.values()] == ["one"]
    trouble = world.accounts.account.trouble
    [failing] = [one.id for one in world.mail.all_folders.values() if one.collection == folder]
    assert trouble is not None and trouble.folders == ((failing, 1),)
    assert "ValueError at" in trouble.reason and SECRET not in trouble.reason
    world.server.folders = ()  # type: ignore[attr-defined]
    world.sync()
    world.check()
    assert world.accounts.account.trouble is None


def test_a_folder_that_failed_in_a_turn_of_history_stays_named_while_more_is_to_come() -> None:
    world = World(server=Failing("Sent"))
    for number in range(200):
        world.server.deliver("INBOX", mail(f"m{number}", number), at=number)
    assert world.sync(deadline=Deadline.after(0)) is Outcome.MORE
    sync_account(world.workspace(), world.accounts.account, Deadline.after(0))
    world.sync()
    trouble = world.accounts.account.trouble
    assert trouble is not None and len(trouble.folders) == 1


def test_what_nobody_foresaw_anywhere_is_a_failure_of_the_sync_without_the_words_of_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Failing()
    server.unlisted = True
    with pytest.raises(SyncFailure, match="KeyError at") as caught:
        World(server=server).sync()
    assert SECRET not in caught.value.message + caplog.text


def test_what_may_pass_is_no_failure_of_ours() -> None:
    world = World()

    def refuse(folder: str) -> None:
        raise OSError("reset")

    world.server.deliver("INBOX", mail("one", 1), at=1)
    world.server.meanwhile = refuse
    with pytest.raises(OSError, match="reset"):
        world.sync()


@pytest.mark.parametrize("counts", [True, False])
def test_new_mail_comes_between_two_batches_of_history(
    world: World, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOOK_AROUND_SECONDS", 0.0)
    world.server.counts = counts
    for number in range(2_000):
        world.server.deliver("Sent", mail(f"m{number}", number), at=number)

    def once(folder: str) -> None:
        if folder == "Sent" and world.mail.all_messages:
            world.server.meanwhile = lambda folder: None
            world.server.deliver("INBOX", mail("news", 9_999), at=9_999)

    world.server.meanwhile = once
    assert world.sync() is Outcome.CURRENT
    world.check()
    place = [m.subject for m in world.mail.order()].index("news")
    assert 0 < place < 1_000, "the news came after the whole history"


class Suspicious(MemoryProvider):
    """Notes what it has given of the inbox and is told we do not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.given: set[RemoteId] = set()
        self.unknown: set[RemoteId] = set()

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        if collection.id != "INBOX":
            return super().changes(collection, cursor, known, budget)

        def checked() -> Mapping[RemoteId, Flags]:
            held = known()
            self.unknown |= self.given - held.keys()
            return held

        batch = super().changes(collection, cursor, checked, budget)
        self.given |= {message.id for message in batch.arrived}
        return batch


def test_what_is_being_stored_counts_as_known() -> None:
    """The next batch is fetched while this one is stored; it must not overlook what vanished in between."""
    server = Suspicious()
    world = World(server=server)
    for number in range(900):
        server.deliver("INBOX", mail(f"m{number}", number), at=number)
    save = world.mail.save

    def slowly(account_id: str, changes: MailChanges) -> None:
        time.sleep(0.05)  # the next fetch has begun by now
        save(account_id, changes)

    world.mail.save = slowly  # type: ignore[method-assign]  # the same, later
    world.sync()
    world.check()
    assert len(server.given) == 900 and not server.unknown


def test_first_all_folders_take_turns_and_later_each_has_a_few_batches_in_a_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "SIZES", (2,))
    world = World()
    for number in range(30):
        for folder in ("INBOX", "Sent"):
            world.server.deliver(folder, mail(folder, number))
    world.sync()
    steps = "".join(folder[0] for folder in world.server.steps)
    assert steps.startswith("IDSTJ" + "IS" + "IIII" + "SSSS" + "IIII"), steps
    assert sum(steps.count(letter) for letter in "IS") >= 30
