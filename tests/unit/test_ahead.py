"""What is asked together with the opening of a mailbox, and what comes of answers that do not fit."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.domain.remote import BatchLimits, ChangeBatch, Collection, Cursor, Flags, RemoteId
from chalicelib.errors import Interrupted, Throttled
from chalicelib.providers.imap.changes import step
from chalicelib.providers.imap.fetch.mailbox import split_id
from chalicelib.providers.imap.folders.folders import token
from chalicelib.providers.imap.protocol.lines import Wire
from chalicelib.providers.imap.protocol.session import Session

DATE = b'"21-Nov-2026 19:43:14 +0000"'


@dataclass
class Mailbox:
    """Both ends of a connection to a server with one mailbox; tests make it misbehave."""

    mails: dict[int, bytes]
    capabilities: frozenset[str] = frozenset({"CONDSTORE"})
    modseq: int = 9
    changed: dict[int, bytes] = field(default_factory=dict)
    silent: frozenset[int] = frozenset()
    refused: str = ""
    fatal: frozenset[int] = frozenset()
    late: dict[int, bytes] = field(default_factory=dict)
    unasked: bytes = b""
    commands: list[str] = field(default_factory=list)
    hung_up: bool = False

    def __post_init__(self) -> None:
        self.file, self._pending = self, io.BytesIO()
        self.session = Session(SimpleNamespace(), Wire(self), self.capabilities)

    def send(self, data: bytes) -> None:
        tag, _, command = data.rstrip().partition(b" ")
        self.commands.append(command.decode())
        self._pending = io.BytesIO(self._pending.read() + self._answer(command).replace(b"TAG", tag))

    def readinto1(self, target: memoryview) -> int:
        return self._pending.readinto(target)

    def step(self, cursor: Cursor | None = None, **budget: Any) -> ChangeBatch:
        """Sync one batch after a listing."""
        state = token(1, max(self.mails, default=0) + 1, len(self.mails), self.modseq)
        inbox = Collection(id="INBOX", name="INBOX", token=state)
        self.mails |= self.late
        self.commands.clear()
        known = {RemoteId(f"{1:010d}.{uid:010d}"): Flags("") for uid in self.mails}
        return step(self.session, inbox, cursor, lambda: known, BatchLimits(**budget))

    def _answer(self, command: bytes) -> bytes:
        verb, _, rest = command.partition(b" ")
        self.hung_up |= b"BODY" in command and bool(self.fatal & self._named(command))
        if self.hung_up:
            return b""
        if verb == b"NOOP":
            return self.unasked + b"TAG OK done\r\n"
        if verb == b"EXAMINE":
            uidnext = max(self.mails, default=0) + 1
            facts = b"* %d EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT %d] x\r\n"
            facts += b"* OK [HIGHESTMODSEQ %d] x\r\nTAG OK [READ-ONLY] open\r\n"
            return facts % (len(self.mails), uidnext, self.modseq)
        if rest.startswith(b"SEARCH"):
            found = b" ".join(b"%d" % uid for uid in sorted(self._named(command)))
            return b"* SEARCH " + found + b"\r\nTAG OK done\r\n"
        if self.refused and b"INTERNALDATE" in rest and b"BODY" in rest:
            return b"TAG " + self.refused.encode() + b"\r\n"
        if b"CHANGEDSINCE" in rest:
            return b"".join(
                b"* 1 FETCH (UID %d FLAGS (%s) MODSEQ (9))\r\n" % one for one in self.changed.items()
            ) + (b"TAG OK done\r\n")
        return b"".join(self._fetched(uid, rest) for uid in sorted(self._named(command))) + b"TAG OK done\r\n"

    def _fetched(self, uid: int, items: bytes) -> bytes:
        raw = self.mails[uid]
        row = b"* 1 FETCH (UID %d" % uid
        if b"INTERNALDATE" in items:
            row += b" FLAGS () INTERNALDATE " + DATE + b" RFC822.SIZE %d" % len(raw)
        if b"BODY" in items:
            if uid in self.silent:
                return b""
            part = raw[:64_000] if b"<0.64000>" in items else raw
            row += b" BODY[] {%d}\r\n" % len(part) + part
        return row + b")\r\n"

    def _named(self, command: bytes) -> set[int]:
        uid_set = re.search(rb"(?:SEARCH UID|FETCH) ([\d,:]+)", command)
        uids: set[int] = set()
        for part in uid_set[1].split(b",") if uid_set else ():
            first, _, last = part.partition(b":")
            uids |= set(range(int(first), int(last or first) + 1))
        return uids & self.mails.keys()


def mail(number: int, octets: int = 0) -> bytes:
    head = f"Message-ID: <{number}@x.example>\r\nSubject: {number}\r\n\r\n".encode()
    return head + b"." * (octets - len(head))


def uids(batch: ChangeBatch) -> list[int]:
    return [split_id(message.id)[1] for message in batch.arrived]


def test_short_mail_comes_with_the_opening_alone() -> None:
    box = Mailbox({uid: mail(uid) for uid in range(1, 6)})
    batch = box.step()
    assert uids(batch) == [5, 4, 3, 2, 1] and not batch.more
    assert [message.raw for message in batch.arrived] == [mail(uid) for uid in (5, 4, 3, 2, 1)]
    assert sum("FETCH" in command for command in box.commands) == 1


def test_what_is_longer_than_a_beginning_is_fetched_whole_and_the_large_is_not() -> None:
    box = Mailbox({1: mail(1, 63_999), 2: mail(2, 64_000), 3: mail(3, 64_001)})
    batch = box.step()
    assert [(len(m.raw), m.whole) for m in batch.arrived] == [
        (64_000, False),
        (64_000, True),
        (63_999, True),
    ]
    assert batch.more, "the rest of the large one is still to come"


def test_new_mail_and_changed_flags_come_with_the_opening_too() -> None:
    box = Mailbox({uid: mail(uid) for uid in range(1, 4)})
    cursor = box.step().cursor
    box.mails[4], box.modseq, box.changed = mail(4), 12, {2: b"\\Seen"}
    batch = box.step(cursor)
    assert uids(batch) == [4] and {split_id(id)[1]: f for id, f in batch.flags.items()} == {2: "s"}
    assert len(box.commands) == 4  # open, bring, what is there, what has changed: all at once


@pytest.mark.parametrize("history", [True, False])
def test_what_the_server_passes_over_in_silence_is_not_forgotten(history: bool) -> None:
    box = Mailbox({1: mail(1)} if not history else {uid: mail(uid) for uid in (1, 2, 3)})
    cursor = None
    if not history:
        cursor = box.step().cursor
        box.mails |= {2: mail(2), 3: mail(3)}
        box.modseq += 1
    box.silent = frozenset({2})
    batch = box.step(cursor)
    assert set(uids(batch)) == ({1, 3} if history else {3})
    assert [split_id(id)[1] for id in batch.unreadable] == [2]


def test_mail_that_came_between_listing_and_opening_is_not_passed_over() -> None:
    box = Mailbox({uid: mail(uid) for uid in (1, 2, 3)}, late={4: mail(4)})
    assert uids(box.step()) == [4, 3, 2, 1]
    box = Mailbox({1: mail(1)})
    cursor = box.step().cursor
    box.mails[2], box.modseq, box.late = mail(2), 11, {3: mail(3)}
    assert uids(box.step(cursor)) == [2, 3]


def test_a_server_that_refuses_the_question_is_asked_in_smaller_steps() -> None:
    box = Mailbox({uid: mail(uid) for uid in (1, 2, 3)}, refused="BAD what is that")
    assert uids(box.step()) == [3, 2, 1]


def test_a_server_that_asks_for_patience_is_not_asked_otherwise() -> None:
    box = Mailbox({1: mail(1)}, refused="NO [THROTTLED] slow down")
    with pytest.raises(Throttled):
        box.step()


def test_a_hang_up_over_an_unknown_message_is_traced_by_asking_carefully() -> None:
    mails = {uid: mail(uid) for uid in (1, 2, 3)}
    with pytest.raises(Interrupted) as caught:
        Mailbox(mails, fatal=frozenset({2})).step()
    assert caught.value.asked == ()
    with pytest.raises(Interrupted) as caught:
        Mailbox(mails, fatal=frozenset({2})).step(careful=True)
    assert [split_id(RemoteId(name))[1] for name in caught.value.asked] == [3, 2, 1]


def test_a_thin_range_is_followed_by_a_search() -> None:
    box = Mailbox({uid: mail(uid) for uid in (1, 2, 3, 900)})
    assert uids(box.step(messages=20)) == [900, 3, 2, 1]


def opened(box: Mailbox) -> int:
    return sum(command.startswith("EXAMINE") for command in box.commands)


def test_a_mailbox_that_stands_is_not_opened_for_each_batch_of_its_history() -> None:
    box = Mailbox({uid: mail(uid) for uid in range(1, 10)})
    cursor = box.step(messages=3).cursor
    batch = box.step(cursor, messages=3)
    assert (uids(batch), opened(box)) == ([6, 5, 4], 0)
    batch = box.step(batch.cursor, messages=3)
    assert (uids(batch), opened(box), batch.more) == ([3, 2, 1], 0, False)


@pytest.mark.parametrize("unasked", [b"* 10 EXISTS\r\n", b"* 3 EXPUNGE\r\n", b"* VANISHED 3\r\n"])
def test_a_mailbox_that_moves_is_opened_again(unasked: bytes) -> None:
    box = Mailbox({uid: mail(uid) for uid in range(1, 10)}, unasked=unasked)
    cursor = box.step(messages=3).cursor
    cursor = box.step(cursor, messages=3).cursor
    box.late = {10: mail(10)}  # which no listing has told of
    batch = box.step(cursor, messages=3)
    assert (uids(batch), opened(box)) == ([10, 3, 2], 1)


def test_a_mailbox_is_opened_again_after_a_listing_and_for_what_the_listing_told_of() -> None:
    box = Mailbox({uid: mail(uid) for uid in range(1, 10)})
    cursor = box.step(messages=3).cursor
    box.session.leave()
    cursor = box.step(cursor, messages=3).cursor
    assert opened(box) == 1
    box.mails |= {uid: mail(uid) for uid in range(10, 15)}
    assert (uids(box.step(cursor, messages=3)), opened(box)) == ([10, 11, 12], 1)


def test_a_mailbox_is_opened_again_for_flags_of_which_a_listing_told() -> None:
    box = Mailbox({uid: mail(uid) for uid in range(1, 10)})
    cursor = box.step(messages=3).cursor
    box.modseq, box.changed = 12, {8: b"\\Seen"}
    batch = box.step(cursor, messages=3)
    assert (list(batch.flags.values()), uids(batch), opened(box)) == (["s"], [6, 5, 4], 1)


def test_a_mailbox_is_opened_for_a_cursor_that_is_not_the_last_one() -> None:
    box = Mailbox({uid: mail(uid) for uid in range(1, 10)})
    early = box.step(messages=3).cursor
    del box.mails[2]
    box.session.leave()
    box.step(early, messages=3)
    assert (uids(box.step(early, messages=3)), opened(box)) == ([6, 5, 4], 1)


def test_one_message_at_a_time_comes_to_the_end_of_a_mailbox_whose_state_nobody_told() -> None:
    box = Mailbox({uid: mail(uid) for uid in (1, 2)}, capabilities=frozenset(), modseq=0)
    first = box.step(messages=1)
    assert uids(first) == [2] and uids(box.step(first.cursor, messages=1)) == [1]


def test_no_history_is_fetched_where_new_mail_fills_the_step() -> None:
    box = Mailbox({uid: mail(uid) for uid in range(1, 9)})
    cursor = box.step(messages=2).cursor
    box.mails |= {uid: mail(uid) for uid in range(9, 15)}
    assert uids(box.step(cursor, messages=2)) == [9, 10]
    asked = [command for command in box.commands if "BODY" in command]
    assert len(asked) == 1 and "FETCH 9:10 " in asked[0]
