"""The engine on a Gmail of our own: labels, identities and threads are the server's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.log.delta import Operation
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.retention import Retention
from chalicelib.domain.mail.thread import Thread
from chalicelib.domain.remote import BatchLimits, ChangeBatch, Collection, Cursor, Known
from chalicelib.domain.sync.progress import progress_of
from chalicelib.providers.imap.gmail.gmail import GmailProvider
from chalicelib.sync.engine import session
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.mail.sent import record_sent
from chalicelib.sync.requests.searching import search
from chalicelib.sync.safety.comparison import repair
from tests.fakes.gmail_server import GmailServer
from tests.fakes.gmail_store import ENGLISH, GmailStore
from tests.fakes.mail import mail
from tests.fakes.store import Crash
from tests.worlds.gmail import ACCOUNT, World

ALL, TRASH = ENGLISH["all"], ENGLISH["trash"]


@pytest.fixture
def world() -> Iterator[World]:
    with GmailServer() as server:
        server.store("mira")
        yield World(server)


def changed(world: World) -> set[tuple[str, Operation]]:
    """Return what changed since the last call."""
    found = {(change.kind, change.event) for change in world.mail.changes}
    world.mail.changes.clear()
    return found


MODIFIED = {("message", Operation.MODIFY), ("thread", Operation.MODIFY)}


def test_a_mail_with_many_labels_is_one_message(world: World) -> None:
    world.store.deliver(mail("one", 1), ("\\Inbox", "\\Important", "Taxes", "Kestrel/Deep"))
    assert world.sync() is Outcome.CURRENT
    world.check()
    assert world.labels(world.only()) == {"All Mail", "Inbox", "Important", "Taxes", "Kestrel/Deep"}
    assert all(folder.kind == "label" for folder in world.mail.all_folders.values())
    assert world.sync() is Outcome.QUIET


def test_added_and_removed_labels_change_message_and_thread(world: World) -> None:
    one = world.store.deliver(mail("one", 1))
    world.sync()
    changed(world)
    world.store.add_labels(one, ["Taxes"])
    world.store.remove_labels(one, ["\\Inbox"])
    world.sync()
    world.check()
    assert changed(world) == MODIFIED | {("label", Operation.CREATE)}


def test_a_label_made_while_we_look_is_not_lost(world: World) -> None:
    class Meanwhile(GmailProvider):
        def changes(
            self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
        ) -> ChangeBatch:
            if collection.id == ALL and not world.store.mails[0].labels - {"\\Inbox"}:
                world.store.add_labels(world.store.mails[0], ["new"])
            return super().changes(collection, cursor, known, budget)

    world.store.deliver(mail("one", 1))
    world.sync(Meanwhile(world.provider()._session))
    world.check()


def test_a_label_hidden_from_imap_is_left_out_and_asked_for_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SIZES", (1,))
    for number in range(3):
        world.store.deliver(mail("one", number), ("\\Inbox", "\\Important"))
    world.store.hidden = {"important"}
    listed = []

    class Counted(GmailProvider):
        def collections(self) -> Any:
            listed.append(1)
            return super().collections()

        def _known_labels(self) -> Any:
            labels = super()._known_labels()
            return replace(labels, by_role={**labels.by_role, "important": ENGLISH["important"]})

    world.sync(Counted(world.provider()._session))
    assert len(listed) == 3  # at the beginning, for the label, at the end
    assert {frozenset(world.labels(m)) for m in world.mail.all_messages.values()} == {
        frozenset({"All Mail", "Inbox"})
    }


def test_threads_are_gmails_whatever_the_subjects_and_headers_say(world: World) -> None:
    for number, (subject, thread) in enumerate([("one", 5), ("two", 5), ("Re: one", 6), ("one", 6)]):
        refs = "<0@harbour.example>" if number == 2 else ""
        world.store.deliver(mail(subject, number, refs), at=number + 1, thread=thread)
    world.sync()
    world.check()
    subjects = {frozenset(m.subject for m in of(world, t)) for t in world.mail.all_threads.values()}
    assert subjects == {frozenset({"one", "two"}), frozenset({"Re: one", "one"})}


def of(world: World, thread: Thread) -> list[Message]:
    return [world.mail.all_messages[id] for id in thread.entries]


def test_archiving_takes_the_inbox_off(world: World) -> None:
    one = world.store.deliver(mail("one", 1))
    world.sync()
    id = world.only().id
    world.store.remove_labels(one, ["\\Inbox"])
    world.sync()
    world.check()
    assert (world.only().id, world.labels(world.only())) == (id, {"All Mail"})


def test_the_bin_and_back_keep_the_message_and_make_no_noise(world: World) -> None:
    one = world.store.deliver(mail("one", 1), ("\\Inbox", "Taxes"))
    world.sync()
    id = world.only().id
    changed(world)
    world.store.put(one, TRASH)
    world.sync()
    world.check()
    assert world.labels(world.only()) == {"Trash", "Taxes"} and world.only().id == id
    assert sum(change.kind == "message" for change in world.mail.changes) == 1, "it was seen in two places"
    assert changed(world) == MODIFIED
    world.store.put(one, "INBOX")
    world.sync()
    world.check()
    assert world.only().id == id and changed(world) == MODIFIED


def test_a_purged_mail_is_deleted(world: World) -> None:
    one = world.store.deliver(mail("one", 1))
    world.sync()
    world.store.purge(one)
    world.sync()
    assert (world.mail.all_messages, world.mail.all_threads, world.mail.all_locations) == ({}, {}, {})


def test_two_mails_alike_to_the_byte_but_not_to_gmail_are_two_messages(world: World) -> None:
    for number in range(4):
        world.store.deliver(mail("one", 1))
        if number:
            world.sync()
    world.check()
    assert len(world.mail.all_messages) == 4


def test_a_new_uidvalidity_keeps_ids_labels_and_threads(world: World) -> None:
    for number in range(5):
        world.store.deliver(mail("same", number), ("\\Inbox", f"l{number % 2}"), at=number + 1, thread=9)
    world.sync()
    before = {id: (m.thread_id, m.label_ids) for id, m in world.mail.all_messages.items()}
    changed(world)
    world.store.renumber(ALL)
    world.sync()
    world.check()
    assert {id: (m.thread_id, m.label_ids) for id, m in world.mail.all_messages.items()} == before
    assert {event for _, event in changed(world)} <= {Operation.MODIFY}


@pytest.mark.parametrize("touch", [True, False])
def test_a_renamed_label_keeps_its_id(world: World, touch: bool) -> None:
    world.store.deliver(mail("one", 1), ("\\Inbox", "Taxes"))
    world.sync()
    [id] = world.ids("Taxes")
    changed(world)
    world.store.rename("Taxes", "Taxes/2026", touch)
    world.sync()
    world.check()
    assert world.ids("Taxes/2026") == {id} and not world.ids("Taxes")
    assert changed(world) == {("label", Operation.MODIFY)}


@pytest.mark.parametrize("touch", [True, False])
def test_a_deleted_label_leaves_its_messages(world: World, touch: bool) -> None:
    for number in range(3):
        world.store.deliver(mail(f"m{number}", number), ("\\Inbox", "Taxes"), at=number + 1)
    world.sync()
    changed(world)
    world.store.delete("Taxes", touch)
    world.sync()
    world.check()
    assert not world.ids("Taxes")
    assert changed(world) == MODIFIED | {("label", Operation.DELETE)}
    world.store.create("Taxes")
    world.sync()
    assert world.ids("Taxes") and not any(
        "Taxes" in world.labels(m) for m in world.mail.all_messages.values()
    )


def test_a_sent_mail_is_recognised_and_keeps_its_thread(world: World) -> None:
    world.sync()
    sent = {f.role: f for f in world.mail.all_folders.values()}["sent"]
    raw = mail("brand new", 7)
    mine = record_sent(world.mail, world.blobs, ACCOUNT, raw, sent, at=50)
    assert world.labels(mine) == {"All Mail", "Sent Mail"}
    seen_by_gmail = b"X-Google-Smtp-Source: x\r\n" + raw
    one = world.store.deliver(seen_by_gmail, ("\\Sent",), {"\\Seen"}, at=51)
    world.sync()
    world.check()
    assert (world.only().id, world.only().thread_id) == (mine.id, mine.thread_id)
    record_sent(world.mail, world.blobs, ACCOUNT, raw, sent, at=50)  # the job that makes sure of it
    world.check()
    world.store.put(one, TRASH)
    answer = world.store.deliver(mail("Re: brand new", 8, "<7@harbour.example>"), at=60)
    assert answer.thrid == one.thrid
    world.sync()
    world.check()
    assert {m.thread_id for m in world.mail.all_messages.values()} == {mine.thread_id}
    assert mine.id in world.mail.all_messages


def test_a_sent_mail_that_gmail_shows_before_we_have_stored_it_is_one_message(world: World) -> None:
    raw = mail("brand new", 7)
    world.store.deliver(b"X-Google-Smtp-Source: x\r\n" + raw, ("\\Sent",), {"\\Seen"}, at=51)
    world.sync()
    sent = {f.role: f for f in world.mail.all_folders.values()}["sent"]
    assert record_sent(world.mail, world.blobs, ACCOUNT, raw, sent, at=50) == world.only()
    world.check()


@pytest.mark.parametrize("shown_first", [True, False])
def test_gmails_copy_does_not_make_us_forget_the_blind_recipients(world: World, shown_first: bool) -> None:
    raw = mail("brand new", 7)
    copy = raw.replace(b"\r\nSubject:", b"\r\nBcc: b@x.example\r\nSubject:")
    world.sync()
    sent = {f.role: f for f in world.mail.all_folders.values()}["sent"]
    if not shown_first:
        record_sent(world.mail, world.blobs, ACCOUNT, copy, sent, at=50)
    world.store.deliver(b"X-Google-Smtp-Source: x\r\n" + raw, ("\\Sent",), {"\\Seen"}, at=51)
    world.sync()
    if shown_first:
        record_sent(world.mail, world.blobs, ACCOUNT, copy, sent, at=50)
    world.check()
    assert [person.email for person in world.only().bcc] == ["b@x.example"]


def test_an_answer_of_ours_joins_the_thread_of_what_it_answers(world: World) -> None:
    first = world.store.deliver(mail("one", 1), at=1, thread=5)
    world.store.deliver(mail("another", 2), at=2, thread=6)
    world.sync()
    sent = {f.role: f for f in world.mail.all_folders.values()}["sent"]
    raw = mail("Re: one", 3, "<2@harbour.example> <1@harbour.example>")
    mine = record_sent(world.mail, world.blobs, ACCOUNT, raw, sent, at=50)
    threads = {m.subject: m.thread_id for m in world.mail.all_messages.values()}
    assert threads["Re: one"] == threads["one"] != threads["another"]
    world.store.deliver(raw, ("\\Sent",), at=51, thread=first.thrid)
    world.sync()
    world.check()
    assert world.mail.all_messages[mine.id].thread_id == threads["one"]
    world.store.mails[-1].thrid = 6  # had Gmail put it elsewhere, it would be elsewhere
    world.store.renumber(ALL)
    world.sync()
    world.check()
    assert world.mail.all_messages[mine.id].thread_id == threads["another"]
    world.store.mails[-1].thrid = 7  # or alone
    world.store.renumber(ALL)
    world.sync()
    world.check()
    assert world.mail.all_messages[mine.id].thread_id not in threads.values()


@pytest.mark.parametrize(
    ("add", "remove", "after"),
    [
        ({"Taxes"}, set(), {"All Mail", "Inbox", "Taxes"}),
        (set(), {"Inbox"}, {"All Mail"}),
        ({"Trash"}, {"All Mail", "Inbox"}, {"Trash"}),
        ({"Spam"}, set(), {"Spam"}),
    ],
)
def test_a_change_by_the_api_holds_at_once_and_on_the_server(
    world: World, add: set[str], remove: set[str], after: set[str]
) -> None:
    world.store.deliver(mail("one", 1))
    world.store.create("Taxes")
    world.sync()
    id = world.only().id
    message = world.relabel(world.ids(*add), world.ids(*remove))
    assert world.labels(message) == after
    world.carry_out()
    changed(world)
    world.sync()
    world.check()
    assert (world.only().id, world.labels(world.only())) == (id, after)
    assert changed(world) <= MODIFIED


def test_the_api_fetches_a_mail_back_from_the_bin(world: World) -> None:
    one = world.store.deliver(mail("one", 1), ("Taxes",), place="trash")
    world.sync()
    assert world.labels(world.only()) == {"Trash", "Taxes"}
    message = world.relabel(world.ids("Inbox"), world.ids("Trash"))
    assert world.labels(message) == {"All Mail", "Inbox", "Taxes"}
    world.carry_out()
    assert (one.place, one.labels) == ("all", {"\\Inbox", "Taxes"})
    world.sync()
    world.check()


def test_a_mail_binned_and_fetched_back_at_once_is_back(world: World) -> None:
    one = world.store.deliver(mail("one", 1))
    world.store.create("Taxes")
    world.sync()
    world.relabel(world.ids("Trash"))
    world.relabel(world.ids("Inbox", "Taxes"), world.ids("Trash"))
    world.carry_out()
    assert (one.place, one.labels) == ("all", {"\\Inbox", "Taxes"})
    world.sync()
    world.check()


def test_the_comparison_takes_over_labels(world: World) -> None:
    one = world.store.deliver(mail("one", 1))
    world.store.create("Taxes")
    world.sync()
    with world.store.lock:  # Gmail forgets to count a change
        box = world.store.boxes[ALL]
        counted = one.modseq, box.modseq
        world.store.add_labels(one, ["Taxes"])
        one.modseq, box.modseq = counted
    world.sync()
    assert world.labels(world.only()) == {"All Mail", "Inbox"}
    repair(world.work(), ACCOUNT, Deadline.after(60), settled=0)
    world.check()


def scenario(world: World) -> None:
    """Let much happen at once."""
    store = world.store
    one, two, three = store.mails[:3]
    store.put(one, TRASH)
    store.add_labels(two, ["late"])
    store.delete("gone")
    store.rename("old", "new")
    store.purge(three)
    store.deliver(mail("fresh", 99), ("\\Inbox", "late"), at=99)


def test_a_worker_may_die_anywhere(world: World) -> None:
    def fill(world: World) -> None:
        for number in range(4):
            world.store.deliver(mail(f"m{number}", number), ("\\Inbox", "gone", "old"), at=number + 1)
        world.sync()

    fill(world)
    start = len(world.fuse.points)
    scenario(world)
    world.sync()
    world.check()
    total = len(world.fuse.points) - start
    assert total > 20
    for point in range(1, total + 1):
        world.server.stores["mira"] = GmailStore()
        again = World(world.server)
        fill(again)
        scenario(again)
        again.fuse.points.clear()
        again.fuse.at = point
        with pytest.raises(Crash):
            again.sync()
        again.sync()
        again.check()


def test_new_mail_comes_while_spam_is_still_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOOK_AROUND_SECONDS", 0.0)
    monkeypatch.setattr(session, "SIZES", (20,))
    for number in range(200):
        world.store.deliver(mail(f"m{number}", number), (), at=number + 1, place="spam")

    class Meanwhile(GmailProvider):
        def changes(
            self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
        ) -> ChangeBatch:
            if len(world.store.mails) == 200 and world.mail.all_messages:
                world.store.deliver(mail("news", 9_999), at=9_999)
            return super().changes(collection, cursor, known, budget)

    world.sync(Meanwhile(world.provider()._session))
    world.check()
    place = [m.subject for m in world.mail.order()].index("news")
    assert 0 < place < 180, "the news came after the whole of Spam"


def test_a_search_speaks_gmails_language_and_brings_what_is_not_here(world: World) -> None:
    world.store.deliver(mail("tide tables", 1), labels={"\\Inbox", "Harbour"})
    world.store.deliver(mail("invoice", 2), labels={"\\Inbox"})
    world.sync()
    late = world.store.deliver(mail("tide warning", 3), labels={"Harbour"})
    found = search(world.work(), ACCOUNT, "subject:tide -subject:invoice", 10, Deadline.after(60))
    assert [message.subject for message in found] == ["tide warning", "tide tables"]
    assert world.labels(found[0]) == {"All Mail", "Harbour"} and found[0].identity == str(late.msgid)
    places = [{place.folder_id for place in message.places} for message in found]
    assert places[0] == places[1] and len(places[0]) == 1, "mail lies in All Mail, labels only point to it"
    assert search(world.work(), ACCOUNT, "label:harbour", 1, Deadline.after(60)) == found[:1]


def test_a_window_counts_where_mail_lies_and_progress_speaks_of_nothing_else(world: World) -> None:
    day, account = 86_400, world.accounts.account
    for age in (1, 20, 50, 90):
        label = {"\\Inbox", "Harbour"} if age > 20 else {"\\Inbox"}
        world.store.deliver(mail(f"m{age}", age), labels=label, at=int(world.now) - age * day)
    for days, ages in ((60, (1, 20, 50)), (30, (1, 20)), (0, (1, 20, 50, 90))):
        world.accounts.account = replace(account, history_days=days)
        assert world.sync() is Outcome.CURRENT and world.sync() is Outcome.QUIET
        assert {m.subject for m in world.mail.all_messages.values()} == {f"m{age}" for age in ages}
        folders = world.mail.folders("a")
        progress = progress_of(folders, Retention(days=days), world.checkpoints.tallies("a"), world.now)
        assert {part.folder.role for part in progress.parts} == {"all", "spam", "trash"}
        assert progress.state == "synced" and sum(t.synced for t in progress.tallies) == len(ages)
    world.check()
