"""Whatever a server says of one message beside its content: it comes, with a date, and so do the others."""

from __future__ import annotations

import io
import re
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.remote import BatchLimits, Collection, Cursor, RemoteId
from chalicelib.providers.imap.changes import step
from chalicelib.providers.imap.fetch.dating import received_at
from chalicelib.providers.imap.fetch.mailbox import split_id
from chalicelib.providers.imap.protocol.lines import Line, Wire
from chalicelib.providers.imap.protocol.metadata import Meta, meta_of
from chalicelib.providers.imap.protocol.session import Session
from chalicelib.providers.imap.search import search

NOW = 1_790_000_000
DAY = 86_400
WHEN = 1_772_359_200  # 1 March 2026, 10:00 UTC
GOOD = b'FLAGS () INTERNALDATE "01-Mar-2026 10:00:00 +0000" RFC822.SIZE 100'
DATED = b"Message-ID: <2@x.example>\r\nDate: Sun, 1 Mar 2026 11:00:00 +0100\r\n\r\ntext"


@dataclass
class Mailbox:
    """Both ends of a connection to a server that says odd things of some of its messages."""

    mails: dict[int, bytes]
    said: dict[int, bytes] = field(default_factory=dict)
    listed: bytes | None = None
    opened: bytes = b"* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT %d] x\r\n"
    commands: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.file, self._pending = self, io.BytesIO()
        self.session = Session(SimpleNamespace(), Wire(self), frozenset())

    def send(self, data: bytes) -> None:
        tag, _, command = data.rstrip().partition(b" ")
        self.commands.append(command)
        self._pending = io.BytesIO(self._pending.read() + self._answer(command) + tag + b" OK done\r\n")

    def readinto1(self, target: memoryview) -> int:
        return self._pending.readinto(target)

    def synced(self, since: int = 0, cursor: Cursor | None = None) -> dict[int, Any]:
        """Sync until nothing is left; return what arrived, by UID, and keep what could not be read."""
        arrived: dict[int, Any] = {}
        self.unreadable: dict[RemoteId, str] = {}
        for _ in range(20):
            inbox = Collection(id="INBOX", name="INBOX")
            batch = step(self.session, inbox, cursor, dict, BatchLimits(since=since))
            arrived |= {split_id(message.id)[1]: message for message in batch.arrived}
            self.unreadable |= batch.unreadable
            cursor = self.cursor = batch.cursor
            if not batch.more:
                return arrived
        raise AssertionError("the sync does not end")

    def _answer(self, command: bytes) -> bytes:
        if command.startswith(b"EXAMINE"):
            uidnext = max(self.mails, default=0) + 1
            opened = self.opened % uidnext if b"%d" in self.opened else self.opened
            return b"* %d EXISTS\r\n" % len(self.mails) + opened
        if b"SEARCH" in command:
            found = b" ".join(b"%d" % uid for uid in sorted(self._named(command)))
            return self.listed or b"* SEARCH " + found + b"\r\n"
        return b"".join(self._fetched(uid, command) for uid in sorted(self._named(command)))

    def _fetched(self, uid: int, command: bytes) -> bytes:
        row = b"* 1 FETCH (UID %d" % uid
        if b"INTERNALDATE" in command:
            row += b" " + self.said.get(uid, GOOD)
        if b"BODY" in command:
            row += b" BODY[] {%d}\r\n" % len(self.mails[uid]) + self.mails[uid]
        return row + b")\r\n"

    def _named(self, command: bytes) -> set[int]:
        if command == b"UID FETCH * (UID)":
            return {max(self.mails, default=0)}
        found = re.search(rb"UID (?:FETCH |SEARCH UID )([\d,:]+)", command)
        uids: set[int] = set()
        for part in found[1].split(b",") if found else ():
            first, _, last = part.partition(b":")
            uids |= {uid for uid in self.mails if int(first) <= uid <= int(last or first)}
        return uids


def mails(number: int) -> dict[int, bytes]:
    return {uid: DATED.replace(b"<2@", b"<%d@" % uid) for uid in range(1, number + 1)}


NONSENSE = [
    b'INTERNALDATE "00-Jan-0000 00:00:00 +0000"',
    b"INTERNALDATE NIL",
    b"",
    b'INTERNALDATE "01-Jan-1900 00:00:00 +0000"',
    b'INTERNALDATE "01-Jan-1970 00:00:00 +0000"',
    b'INTERNALDATE "31-Dec-1969 23:59:59 -0100"',
    b'INTERNALDATE "30-Feb-2026 10:00:00 +0000"',
    b'INTERNALDATE "01-Foo-2026 10:00:00 +0000"',
    b'INTERNALDATE "01-Mar-2026 99:99:99 +0000"',
    b'INTERNALDATE "01-Mar-2026 10:00:00 +9999"',
    b'INTERNALDATE "01-Mar-9999 10:00:00 +0000"',
    b'INTERNALDATE "01-Mar-12026 10:00:00 +0000"',
    b'INTERNALDATE ""',
    b'INTERNALDATE "' + b"9" * 5_000 + b'"',
    b"INTERNALDATE (NIL)",
    b'INTERNALDATE "2026-03-01T10:00:00Z"',
]
LESS_USUAL = [
    b'INTERNALDATE "1-Mar-2026 10:00:00 +0000"',
    b'INTERNALDATE " 1-Mar-2026 10:00:00 +0000"',
    b'INTERNALDATE "01-MAR-2026 12:00:00 +0200"',
    b'internaldate "01-mar-2026 00:30:00 -0930"',
    b'INTERNALDATE "01-Mar-2026 10:00:00"',
    b'INTERNALDATE "01-Mar-2026 10:00:00 -0000"',
]


@pytest.mark.parametrize("said", NONSENSE, ids=lambda said: said[:45].decode())
def test_a_date_without_sense_is_none(said: bytes) -> None:
    meta = meta_of(2, Line(b"* 2 FETCH (UID 2 FLAGS (\\Seen) " + said + b" RFC822.SIZE 9)", []))
    assert received_at(meta, DATED, NOW) == WHEN, "the Date header's"
    assert (meta.uid, meta.flags, meta.size) == (2, "s", 9)


@pytest.mark.parametrize("said", LESS_USUAL, ids=lambda said: said.decode())
def test_a_date_written_less_usually_counts(said: bytes) -> None:
    assert meta_of(2, Line(b"* 2 FETCH (UID 2 " + said + b")", [])).received_at == WHEN


@pytest.mark.parametrize(
    ("headers", "date"),
    [
        (b"Date: Sun, 1 Mar 2026 10:00:00 +0000\r\nReceived: by x; Mon, 2 Mar 2026 10:00:00 +0000", WHEN),
        (b"Date: sometime\r\nReceived: by x; Sun, 1 Mar 2026 10:00:00 +0000", WHEN),
        (b"Date: Fri, 1 Jan 2099 10:00:00 +0000\r\nReceived: by x;\r\n Sun, 1 Mar 2026 10:00:00 +0000", WHEN),
        (b"Date: Mon, 1 Jan 1900 10:00:00 +0000\r\nReceived: by x; Sun, 1 Mar 2026 10:00:00 +0000", WHEN),
        (b"Date: Sun, 1 Mar 26 10:00 GMT", WHEN),
        (b"Received: by y; none\r\nReceived: by x; 1 Mar 2026 10:00:00 +0000", WHEN),
        (b"Date: " + b"9" * 100_000, NOW),
        (b"Date: Sun, 99 Mar 2026 99:99:99 +99999999999999999999", NOW),
        (b"Date: \xff\xfe\0", NOW),
        (b"Date: 0", NOW),
        (b"X: y", NOW),
        (b"", NOW),
    ],
)  # fmt: skip
def test_without_a_date_of_the_server_the_message_is_asked_then_the_clock(headers: bytes, date: int) -> None:
    found = received_at(Meta(1, "", None, 0), headers + b"\r\n\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000", NOW)  # type: ignore[arg-type]
    assert found == date


@pytest.mark.parametrize("said", NONSENSE, ids=lambda said: said[:45].decode())
@pytest.mark.parametrize(
    "rest", [b"FLAGS () RFC822.SIZE 100", b"RFC822.SIZE NIL", b"FLAGS NIL RFC822.SIZE -1"]
)
def test_a_message_with_odd_metadata_comes_and_so_do_its_neighbours(said: bytes, rest: bytes) -> None:
    box = Mailbox(mails(3), {2: rest + b" " + said})
    found = box.synced()
    assert set(found) == {1, 2, 3} and not box.unreadable
    assert {message.received_at for message in found.values()} == {WHEN}


def test_a_mail_that_is_marked_as_deleted_is_there_until_it_is_expunged() -> None:
    box = Mailbox(mails(2), {2: GOOD.replace(b"FLAGS ()", b"FLAGS (\\Deleted \\Seen)")})
    assert {uid: message.flags for uid, message in box.synced().items()} == {1: "", 2: "s"}


def test_a_mail_cannot_date_itself_by_words_in_its_text() -> None:
    text = b'Subject: x\r\n\r\nINTERNALDATE "01-Mar-2001 10:00:00 +0000" FLAGS (\\Seen)'
    quoted = b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    line = Line(b"* 1 FETCH (UID 1 BODY[] " + quoted + b" " + GOOD + b")", [])
    assert (meta_of(1, line).received_at, meta_of(1, line).flags) == (WHEN, "")


class TestWindow:
    """A history window does not hide mail of which the server has no date."""

    SINCE = int(time.time()) - 30 * DAY

    @pytest.mark.parametrize("said", [b"", b"INTERNALDATE NIL", NONSENSE[0], NONSENSE[3], NONSENSE[4]])
    def test_history_goes_by_the_date_that_the_message_bears(self, said: bytes) -> None:
        recent = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(self.SINCE + DAY)).encode()
        fresh = DATED.replace(b"Sun, 1 Mar 2026 11:00:00 +0100", recent)
        old = DATED.replace(b"2026", b"2011")
        box = Mailbox({1: old, 2: fresh, 3: b"Subject: none\r\n\r\n"}, dict.fromkeys((1, 2, 3), said))
        found = box.synced(self.SINCE)
        assert set(found) == {2, 3}
        assert found[2].received_at == self.SINCE + DAY

    def test_the_server_is_asked_for_what_has_no_date_too(self) -> None:
        box = Mailbox(mails(2))
        box.synced(self.SINCE)
        searches = [command for command in box.commands if b"SINCE" in command]
        assert searches and all(
            re.search(rb"OR SINCE \S+ NOT SINCE 2-Jan-1971", command) for command in searches
        )

    def test_new_mail_is_never_left_out_for_a_date_that_its_sender_wrote(self) -> None:
        box = Mailbox(mails(1))
        box.synced(self.SINCE)
        box.mails[2] = DATED.replace(b"2026", b"2011")
        box.said[2] = b"INTERNALDATE NIL"
        box.session.standing = None
        found = box.synced(self.SINCE, box.cursor)
        assert set(found) == {2} and found[2].received_at >= self.SINCE


def test_a_message_of_which_the_server_tells_nothing_is_set_aside() -> None:
    class Mute(Mailbox):
        def _fetched(self, uid: int, command: bytes) -> bytes:
            return b"" if uid == 2 else super()._fetched(uid, command)

    box = Mute(mails(3))
    assert set(box.synced()) == {1, 3}
    assert [split_id(id)[1] for id in box.unreadable] == [2]


def test_a_search_finds_messages_without_a_date() -> None:
    box = Mailbox(mails(2), {2: b"INTERNALDATE NIL RFC822.SIZE 9"})
    ids = [RemoteId("0000000001.0000000002")]
    [found] = search.bring(box.session, "INBOX", ids, BatchLimits())
    assert found.received_at == WHEN


def test_many_lines_about_one_message_cost_no_more_than_their_length() -> None:
    lines = b"* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n" * 100_000
    box = Mailbox(mails(1))
    box.listed = b"* SEARCH 1\r\n" + lines
    assert set(box.synced()) == {1}


WORDS = st.sampled_from(
    [
        b"NIL",
        b"-1",
        b"()",
        b"(",
        b")",
        b'"',
        b"0",
        b"9" * 30,
        b"9" * 5_000,
        b"\\Seen",
        b"4294967296",
        b"\xff\0",
        b"{3",
    ]
    + [b"UID", b"FLAGS", b"RFC822.SIZE", b"INTERNALDATE", b"BODY[]", b"MODSEQ", b"*", b'"\\"', b"(((((", b"2"]
    + [one.partition(b" ")[2] for one in NONSENSE]
)
PHRASES = st.lists(WORDS | st.binary(max_size=12), max_size=8).map(
    lambda words: b" ".join(words).replace(b"\r", b"").replace(b"\n", b"").rstrip(b"}")
)


@settings(max_examples=150, deadline=None)
@given(said=PHRASES)
def test_property_no_metadata_stops_a_folder(said: bytes) -> None:
    box = Mailbox(mails(3), {2: said})
    found = box.synced()
    assert {1, 3} <= set(found)
    assert 2 in found or box.unreadable, "it comes, or it is said that it does not"
    assert all(0 < message.received_at <= time.time() + 2 * DAY for message in found.values())


@settings(max_examples=150, deadline=None)
@given(opened=PHRASES, listed=PHRASES)
def test_property_no_state_of_a_mailbox_raises_what_nobody_foresaw(opened: bytes, listed: bytes) -> None:
    state = b"* OK [UIDNEXT " + opened + b"] x\r\n* OK [UIDVALIDITY " + opened + b"]\r\n"
    box = Mailbox(mails(3), listed=b"* SEARCH " + listed + b" 3\r\n", opened=state.replace(b"%", b""))
    box.synced()
