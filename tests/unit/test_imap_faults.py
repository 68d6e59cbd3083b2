"""Servers that refuse, withhold or lose single messages; answers are scripted."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from chalicelib.domain.remote import Flags
from chalicelib.errors import Gone, ProviderError, Throttled
from chalicelib.providers.imap.fetch.mailbox import metas
from chalicelib.providers.imap.fetch.whole import Bodies, bodies
from chalicelib.providers.imap.protocol.failures import failure
from chalicelib.providers.imap.protocol.lines import Wire
from chalicelib.providers.imap.protocol.metadata import Meta
from chalicelib.providers.imap.protocol.session import Session

Answer = Callable[[bytes], bytes]


class Scripted:
    """Both ends of a connection: what is sent decides what can be read."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._pending = io.BytesIO()
        self.file = self

    def send(self, data: bytes) -> None:
        tag, _, command = data.rstrip().partition(b" ")
        rest = self._pending.read()
        self._pending = io.BytesIO(rest + self._answer(command).replace(b"TAG", tag))

    def readinto1(self, target: memoryview) -> int:
        return self._pending.readinto(target)


def fetched(answer: Answer, uids: range) -> Bodies:
    session = Session(SimpleNamespace(), Wire(Scripted(answer)), frozenset())
    return bodies(session, [Meta(uid, Flags(""), 0, 100) for uid in uids])


def asked(command: bytes) -> set[int]:
    """UIDs a command names."""
    uids: set[int] = set()
    for first, last in re.findall(rb"(\d+)(?::(\d+))?", command.split()[-2 if b"FETCH" in command else -1]):
        uids |= set(range(int(first), int(last or first) + 1))
    return uids


def rows(uids: set[int]) -> bytes:
    return b"".join(b"* 1 FETCH (UID %d BODY[] {3}\r\nm%02d)\r\n" % (uid, uid) for uid in sorted(uids))


def fetch_command(command: bytes) -> bytes:
    return command.replace(b"(UID BODY.PEEK[])", b"BODY")


def test_a_poison_message_is_named_and_its_neighbours_arrive() -> None:
    def answer(command: bytes) -> bytes:
        if 3 in asked(fetch_command(command)):
            return b"TAG NO [UNAVAILABLE] UID FETCH Server error\r\n"
        return rows(asked(fetch_command(command))) + b"TAG OK done\r\n"

    result = fetched(answer, range(1, 6))
    assert set(result.raw) == {1, 2, 4, 5} and set(result.unreadable) == {3}


def test_a_vanished_message_is_no_error_but_a_withheld_one_is_unreadable() -> None:
    def answer(command: bytes) -> bytes:
        if command.startswith(b"UID SEARCH"):
            return b"* SEARCH 2\r\nTAG OK done\r\n"
        return rows(asked(fetch_command(command)) - {2, 4}) + b"TAG OK done\r\n"

    result = fetched(answer, range(1, 6))
    assert set(result.raw) == {1, 3, 5} and set(result.unreadable) == {2}


def test_an_answer_without_content_is_not_an_empty_message() -> None:
    result = fetched(lambda command: b"* 1 FETCH (UID 1 BODY[] NIL)\r\nTAG OK done\r\n", range(1, 2))
    assert result.raw == {} and set(result.unreadable) == {1}


def test_a_throttled_account_is_not_mistaken_for_poison() -> None:
    with pytest.raises(Throttled):
        fetched(lambda command: b"TAG NO [OVERQUOTA] Account exceeded bandwidth limits\r\n", range(1, 3))


def test_a_server_that_gives_out_nothing_is_ill() -> None:
    def answer(command: bytes) -> bytes:
        return b"TAG NO [UNAVAILABLE] Server error\r\n"

    with pytest.raises(ProviderError):
        fetched(answer, range(1, 30))


def test_flags_told_in_between_hide_neither_a_message_nor_what_is_known_of_it() -> None:
    """Somebody else reads a message while it is fetched: the server says so unasked."""
    unasked = b"* 2 FETCH (UID 2 MODSEQ (3) FLAGS (\\Seen))\r\n"

    def answer(command: bytes) -> bytes:
        if b"BODY" in command:
            return rows({1, 2}) + unasked + b"TAG OK done\r\n"
        about = b'* %d FETCH (UID %d FLAGS () INTERNALDATE "21-Nov-2026 19:43:14 +0000" RFC822.SIZE 9)\r\n'
        return about % (1, 1) + about % (2, 2) + unasked + b"TAG OK done\r\n"

    session = Session(SimpleNamespace(), Wire(Scripted(answer)), frozenset())
    found = metas(session, [1, 2])
    assert {uid: (meta.flags, meta.size) for uid, meta in found.items()} == {1: ("", 9), 2: ("s", 9)}
    assert set(bodies(session, list(found.values())).raw) == {1, 2}


@pytest.mark.parametrize(
    "text", ["Mailbox doesn't exist: Old (0.001 secs).", "[NONEXISTENT] gone", "[NOPERM] Permission denied"]
)
def test_a_folder_that_is_not_there_for_us_is_gone_with_or_without_a_code(text: str) -> None:
    assert isinstance(failure(text), Gone)


@pytest.mark.parametrize("said", [b"", b"* 1 FETCH (UID 1 BODY[] {30}\r\ncut", b"* BYE shutting down\r\n"])
def test_a_lost_connection_is_an_error_and_never_an_empty_answer(said: bytes) -> None:
    with pytest.raises(ProviderError):
        fetched(lambda command: said, range(1, 2))


def test_a_farewell_says_why() -> None:
    with pytest.raises(Throttled):
        fetched(lambda command: b"* BYE [THROTTLED] Too much bandwidth\r\n", range(1, 2))
