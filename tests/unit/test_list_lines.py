"""LIST and STATUS as servers write them: every folder is found under its name, INBOX always and once."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import bounds
from chalicelib.domain.remote import Collection
from chalicelib.providers.imap.folders.folders import collection_list
from chalicelib.providers.imap.gmail.gmail import traits
from chalicelib.providers.imap.gmail.gmail_labels import Labels
from chalicelib.providers.imap.protocol.lines import Line, Wire, tokens
from chalicelib.providers.imap.protocol.session import Session


class Server:
    """Both ends of a connection to a server that lists its folders in its own way."""

    def __init__(self, lines: bytes, states: bytes = b"", *capabilities: str) -> None:
        self._lines, self._states = lines, states
        self._pending = io.BytesIO()
        self.file: Any = self
        self.session = Session(SimpleNamespace(), Wire(self), frozenset(capabilities))

    def send(self, data: bytes) -> None:
        tag, _, command = data.rstrip().partition(b" ")
        said = self._lines if command.startswith((b"LIST", b"UID FETCH")) else self._states
        self._pending = io.BytesIO(self._pending.read() + said + tag + b" OK done\r\n")

    def readinto1(self, target: memoryview) -> int:
        return self._pending.readinto(target)


def folders(*lines: bytes, states: bytes = b"", capabilities: tuple[str, ...] = ()) -> list[Collection]:
    said = b"".join(b"* LIST " + line + b"\r\n" for line in lines)
    return collection_list(Server(said, states, *capabilities).session)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b'(\\HasNoChildren) "/" Sent Items', "Sent Items"),
        (b'(\\HasNoChildren) "/" Old\tStuff', "Old\tStuff"),
        (b'() "/" a  b', "a  b"),
        (b'() "/"   padded ', "padded"),
        (b'() NIL "with \\"quotes\\" and \\\\"', 'with "quotes" and \\'),
        (b'() "/" "Sent" (CHILDINFO ("SUBSCRIBED"))', "Sent"),
        (b'() "/" Sent Items ("OLDNAME" ("Gesendet"))', "Sent Items"),
        (b'() "/" Sent (old)', "Sent (old)"),
        (b'() "/" (x', "(x"),
        (b'() "/" {6}\r\nSent b', "Sent b"),
        (b'() / plain', "plain"),
        (b'() "/" half "quoted" name', 'half "quoted" name'),
        (b'(\\Sent \\HasNoChildren)  "."  Sent', "Sent"),
        ('() "/" Gelöschte Objekte'.encode(), "Gelöschte Objekte"),
        ('() "/" "Gelöschte Objekte"'.encode("latin-1"), "Gelöschte Objekte"),
    ],
)  # fmt: skip
def test_a_name_is_read_however_it_is_written(line: bytes, name: str) -> None:
    assert [one.name for one in folders(line)] == ["INBOX", name]


def test_names_without_quotes_are_not_one_folder() -> None:
    names = [one.name for one in folders(b'() "/" Sent Items', b'() "/" Sent Mail', b'() "/" Sent')]
    assert names == ["INBOX", "Sent Items", "Sent Mail", "Sent"]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b'() "/" Other'],
        [b'(\\Noselect) "/" INBOX'],
        [b'(\\NonExistent) "/" "INBOX"', b'() "/" Other'],
        [b'() "/" INBOX/Sub', b'() "/" "Inbox "x'],
    ],
)
def test_there_is_an_inbox_whether_it_is_listed_or_not(lines: list[bytes]) -> None:
    first, *others = folders(*lines)
    assert (first.id, first.role) == ("INBOX", "inbox")
    assert all(one.role != "inbox" for one in others)


@pytest.mark.parametrize(
    ("listed", "id"),
    [
        ([b"Inbox", b"INBOX"], "INBOX"),
        ([b"INBOX", b'"inbox"', b"Inbox"], "INBOX"),
        ([b"Inbox"], "Inbox"),
        ([b"inbox", b"Inbox"], "inbox"),
    ],
)
def test_the_inbox_is_one_in_any_case(listed: list[bytes], id: str) -> None:
    assert [one.id for one in folders(*(b'() "/" ' + name for name in listed))] == [id]


def test_the_state_of_a_folder_with_a_blank_in_its_name_is_found() -> None:
    states = b"* STATUS Sent Items (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 5 HIGHESTMODSEQ 6)\r\n"
    states += b'* STATUS "inbox" (UIDVALIDITY 1 UIDNEXT 2 MESSAGES 1 HIGHESTMODSEQ 9 ) \r\n'
    found = folders(b'() "/" Sent Items', states=states, capabilities=("CONDSTORE",))
    assert {one.name: one.token for one in found} == {"INBOX": "1:2:1:9", "Sent Items": "5:4:3:6"}


@pytest.mark.parametrize(
    "numbers",
    [
        b"UIDVALIDITY 1 UIDNEXT 99999999999999999999 HIGHESTMODSEQ 5",
        b"UIDVALIDITY -1",
        b"UIDVALIDITY " + b"9" * 5_000,
    ],
)
def test_a_number_that_cannot_be_one_is_not_said(numbers: bytes) -> None:
    states = b"* STATUS INBOX (" + numbers + b")\r\n"
    [inbox] = folders(states=states, capabilities=("CONDSTORE",))
    assert inbox.token in ("", "1:0:0:5")


def test_a_name_that_the_server_does_not_take_back_stops_no_other() -> None:
    class Picky(Server):
        def send(self, data: bytes) -> None:
            if data.endswith(b"}\r\n"):
                self._pending = io.BytesIO(data.partition(b" ")[0] + b" BAD no literals\r\n")
            else:
                super().send(data)

    lines = b'* LIST () "/" caf\xe9\r\n* LIST () "/" Sent\r\n'
    states = b"* STATUS Sent (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 5 HIGHESTMODSEQ 6)\r\n"
    found = collection_list(Picky(lines, states, "CONDSTORE").session)
    assert {one.name: one.token for one in found} == {"INBOX": "", "caf\xe9": "", "Sent": "5:1:0:6"}


def test_names_and_folders_without_end_are_left_out() -> None:
    long = b'() "/" ' + b"x" * (bounds.FOLDER_NAME_BYTES + 1)
    assert [one.id for one in folders(long, b'() "/" "' + b"\\y" * 900_000 + b'"')] == ["INBOX"]
    many = [b'() "/" f%d' % n for n in range(bounds.FOLDERS + 5)]
    assert len(folders(*many)) == bounds.FOLDERS


def test_a_line_full_of_quotes_or_blanks_costs_no_more_than_its_length() -> None:
    assert len(tokens(Line(b"* X " + b'"\\' * 500_000, []))) == 3  # quadratic: minutes
    blanks = b" " * 1_000_000
    states = b"* STATUS " + blanks + b"(" * 1_000 + blanks + b"\r\n"
    assert len(folders(b"() NIL" + blanks + b"x", states=states, capabilities=("CONDSTORE",))) == 2


ODD = st.sampled_from(
    [
        *(
            b'"',
            b"\\",
            b"(",
            b")",
            b"{3}",
            b"{0}",
            b"NIL",
            b" ",
            b"\t",
            b"/",
            b"&",
            b"&AA",
            b"INBOX",
            b"()",
            b'"/"',
        ),
        *(b"\\Noselect", b"\xff", b"\0", b"*", b"(MESSAGES 3", b"UIDVALIDITY", b"9" * 4_400, b"CHILDINFO"),
    ]
)
LINES = st.lists(st.lists(ODD | st.binary(max_size=5), max_size=10).map(b"".join), max_size=4).map(
    lambda lines: [line.replace(b"\r", b"").replace(b"\n", b"").replace(b"}", b"") for line in lines]
)


@settings(max_examples=200, deadline=None)
@given(names=LINES, states=LINES)
def test_property_no_listing_raises_or_hides_what_is_well_written(
    names: list[bytes], states: list[bytes]
) -> None:
    said = b"".join(b"* STATUS " + line + b"\r\n" for line in states)
    odd = [b'() "/" ' + line for line in names]
    found = folders(*odd, *names, b'(\\Sent) "/" "Sent"', states=said, capabilities=("CONDSTORE",))
    assert [one.role for one in found].count("inbox") == 1 and found[0].role == "inbox"
    assert "Sent" in [one.id for one in found]
    assert all(one.id for one in found)


@settings(max_examples=100, deadline=None)
@given(odd=st.lists(ODD | st.binary(max_size=5), max_size=8).map(b" ".join))
def test_property_no_labels_of_one_message_hide_those_of_another(odd: bytes) -> None:
    clean = odd.replace(b"\r", b"").replace(b"\n", b"").replace(b"}", b"")
    rows = b"* 1 FETCH (UID 1 X-GM-MSGID " + clean + b" X-GM-THRID 4 X-GM-LABELS (x))\r\n"
    rows += b'* 2 FETCH (UID 2 X-GM-MSGID 7 X-GM-THRID 8 X-GM-LABELS ("a"))\r\n'
    found = traits(Server(rows).session, [1, 2], Labels({}))
    assert (found[2].identity, found[2].labels) == ("7", ("a",))
