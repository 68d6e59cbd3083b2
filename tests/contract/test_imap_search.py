"""Search on a real Dovecot: with SORT and without, in every script, and whatever a client may send."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from chalicelib import bounds
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.remote import BatchLimits, RemoteId
from chalicelib.errors import Gone
from chalicelib.providers.base import Searching
from chalicelib.providers.imap.adapter import ImapProvider
from chalicelib.providers.imap.protocol.session import open_session
from chalicelib.providers.imap.search.search_keys import BARE
from tests.contract.dovecot import HERE
from tests.contract.dovecot import other as other  # a fixture
from tests.contract.dovecot import server as server  # a fixture
from tests.contract.dovecot import settings as settings  # a fixture
from tests.contract.program import Program
from tests.fakes.ascii_only import KnowsAsciiOnly

pytestmark = pytest.mark.server
DAY = 86_400


def letter(subject: str, body: str = "text", sender: str = "mira@kestrel.example") -> bytes:
    head = f"From: {sender}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    kind = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    return f"{head}{kind}\r\n{body}\r\n".encode()


@pytest.fixture(params=["SORT", "no SORT", "ASCII only", "ASCII only, no SORT"])
def provider(
    request: pytest.FixtureRequest, settings: MailSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ImapProvider]:
    session = open_session(settings, reach=HERE)
    assert session.can("SORT")
    if "no SORT" in request.param:
        session.capabilities -= {"SORT"}
    if "ASCII only" in request.param:
        monkeypatch.setattr(session, "wire", KnowsAsciiOnly(session.wire))
    opened = ImapProvider(session)
    yield opened
    opened.close()


def test_words_and_keys_find_what_they_mean(provider: ImapProvider, other: Program) -> None:
    assert isinstance(provider, Searching)
    tide = other.deliver("INBOX", letter("Tide table", "low water at noon"), at=19_000 * DAY)
    offer = other.deliver(
        "INBOX", letter("Offer", "tide and time", "jonas@werft.example"), "s", at=19_100 * DAY
    )
    for query, ids in {
        "low water": [tide],
        "tide": [offer, tide],
        "FROM jonas": [offer],
        "SUBJECT tide": [tide],
        'NOT SEEN BODY "low water"': [tide],
        "OR (SEEN FROM jonas) SUBJECT table": [offer, tide],
        "SINCE 1-Mar-2022": [offer],
        "nothing of the kind": [],
    }.items():
        assert provider.search("INBOX", query, 10) == ids, query
    assert provider.search("INBOX", "tide", 1) == [offer]


def test_other_scripts_are_found(provider: ImapProvider, other: Program) -> None:
    id = other.deliver("INBOX", letter("x", "潮汐表 für Jürgen"))
    assert provider.search("INBOX", "潮汐", 10) == [id] == provider.search("INBOX", "BODY Jürgen", 10)


def test_words_outside_ascii_are_found_where_they_are_looked_for(
    provider: ImapProvider, other: Program
) -> None:
    encoded = "=?utf-8?b?VG9uZXIgZsO8ciBKw7xyZ2Vu?="  # Toner für Jürgen
    named = other.deliver("INBOX", letter("tide", sender="=?utf-8?q?J=C3=BCrgen?= <j@werft.example>"), "s")
    written = other.deliver("INBOX", letter("tide", "Grüße von J\u0075\u0308rgen"))  # a decomposed u
    entitled = other.deliver("INBOX", letter(encoded, "text"))
    other.deliver("INBOX", letter("tide", "nothing of the kind"))
    for query, ids in {
        "FROM jürgen": {named},
        "SUBJECT JÜRGEN": {entitled},
        "BODY Grüße": {written},
        "SUBJECT tide FROM Jürgen": {named},
        "NOT SUBJECT tide SUBJECT für": {entitled},
        'OR FROM Jürgen SUBJECT "für Jürgen"': {named, entitled},
        "NOT SEEN FROM Jürgen": set(),
        'HEADER Subject "für Jürgen" UNSEEN': {entitled},
        '"Toner für Jürgen"': {entitled},
        "SUBJECT Jörg": set(),
    }.items():
        assert set(provider.search("INBOX", query, 10)) == ids, query


def test_a_phrase_is_found_and_its_words_apart_are_not(provider: ImapProvider, other: Program) -> None:
    together = other.deliver("INBOX", letter("x", "the low water at noon"), at=19_000 * DAY)
    other.deliver("INBOX", letter("x", "water is low"))
    for query in ('"low water"', '"low water" noon', 'UNSEEN "low water"', '"low water" "at noon"'):
        assert provider.search("INBOX", query, 10) == [together], query


def test_so_many_messages_are_searched_here_and_no_more(
    settings: MailSettings, other: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [other.deliver("INBOX", letter("x", "Grüße"), at=19_000 * DAY + n) for n in range(3)]
    session = open_session(settings, reach=HERE)
    monkeypatch.setattr(session, "wire", KnowsAsciiOnly(session.wire))
    monkeypatch.setattr(bounds, "SEARCHED_HERE_MESSAGES", 2)
    opened = ImapProvider(session)
    assert opened.search("INBOX", "Grüße", 10) == [ids[2], ids[1]]
    opened.close()


def test_a_server_that_sorts_gives_the_newest_mail_first(settings: MailSettings, other: Program) -> None:
    """Mail that was moved here came last, and is not the newest for that."""
    new = other.deliver("INBOX", letter("tide"), at=19_000 * DAY)
    old = other.deliver("INBOX", letter("tide"), at=18_000 * DAY)
    session = open_session(settings, reach=HERE)
    opened = ImapProvider(session)
    assert opened.search("INBOX", "tide", 10) == [new, old]
    session.capabilities -= {"SORT"}
    assert opened.search("INBOX", "tide", 10) == [old, new]
    opened.close()


def test_what_is_found_is_brought_within_its_budget(provider: ImapProvider, other: Program) -> None:
    ids = [other.deliver("INBOX", letter(f"{n}", "x" * 900), "f", at=19_000 * DAY + n) for n in range(4)]
    large = other.deliver("INBOX", letter("large", "x" * 20_000))
    wanted = [large, *ids[::-1], RemoteId("0000000009.0000000001")]
    brought = provider.bring("INBOX", wanted, BatchLimits(messages=4, bytes=9_000))
    assert [one.id for one in brought] == [ids[3], ids[2], ids[1]]
    assert (brought[0].raw, brought[0].flags, brought[0].received_at) == (
        letter("3", "x" * 900), "f", 19_000 * DAY + 3,
    )  # fmt: skip
    other.expunge("INBOX", ids[2])
    assert [one.id for one in provider.bring("INBOX", ids, BatchLimits())] == [ids[0], ids[1], ids[3]]


def test_a_folder_that_has_gone_is_gone(provider: ImapProvider, other: Program) -> None:
    with pytest.raises(Gone):
        provider.search("Attic", "x", 1)


def test_no_text_upsets_the_server_or_means_anything_else(provider: ImapProvider, other: Program) -> None:
    """The connection goes on, and each text is found in the message that holds it."""
    dice = random.Random(11)
    pieces = [*sorted(BARE), "FROM", "NOT", "OR", "HEADER", "SINCE", "(", ")", '"', "\\", "*", "{3}", "{3+}",
              "%", "a1 LOGOUT", "1:*", "UID", "ü", "'", "]", "x", "1-Jan-2026", "7"]  # fmt: skip
    for _ in range(150):
        provider.search("INBOX", " ".join(dice.choices(pieces, k=dice.randint(1, 6))).strip() or "x", 10)
    for text in ('a "quoted" word', "back\\slash", "{5}", "1:* LOGOUT", "50% (off)"):
        id = other.deliver("INBOX", letter("plain", f"before {text} after"))
        assert provider.search("INBOX", text, 10) == [id], text
