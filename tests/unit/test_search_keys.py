"""A client's text becomes search keys only if it is made of them; nothing else reaches the server."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import InvalidRequest
from chalicelib.providers.imap.protocol.lines import Literal
from chalicelib.providers.imap.search.search_keys import BARE, search_key, search_words
from chalicelib.providers.imap.search.search_tree import widened, written

_GROUP = [b"(", b"FROM", b'"c"', b"TEXT", b'"d e"', b")"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("three plain words", [b"TEXT", b'"three plain words"']),
        ("  hello ", [b"TEXT", b'"hello"']),
        ('FROM mira SUBJECT "tide table"', [b"FROM", b'"mira"', b"SUBJECT", b'"tide table"']),
        ("from mira", [b"FROM", b'"mira"']),
        ("UNSEEN SINCE 1-Feb-2026", [b"UNSEEN", b"SINCE", b"1-Feb-2026"]),
        ("NOT SEEN", [b"NOT", b"SEEN"]),
        ("OR FROM a (TO b FLAGGED)", [b"OR", b"FROM", b'"a"', b"(", b"TO", b'"b"', b"FLAGGED", b")"]),
        ('HEADER List-Id "a\\"b"', [b"HEADER", b"List-Id", b'"a\\"b"']),
        ("LARGER 10000 KEYWORD $Forwarded", [b"LARGER", b"10000", b"KEYWORD", b"$Forwarded"]),
    ],
)
def test_keys_are_keys_and_words_are_words(query: str, words: list[bytes]) -> None:
    assert search_words(query) == words


@pytest.mark.parametrize(
    "query",
    [
        "new", "all", "seen it", "2024", "1:*", "UID 1:*", "FROM", "FROM (a)", "NOT", "OR SEEN", "(SEEN",
        "SEEN)", "SINCE yesterday", "SINCE 99-Feb-2026", "LARGER many", "LARGER -1", "LARGER 4294967296",
        "KEYWORD (x)", '"never closed', 'a 12" screen', '""', '" "', '"a"b', 'a"b"', '"',
        '\\"a b\\"', "HEADER X:Y z", 'FROM "unclosed', 'FROM "a"b', "X-GM-RAW in:anywhere",
        "FUZZY TEXT x",
        "RETURN (ALL) SEEN", "CHARSET UTF-8 SEEN", "()", "(" * 100 + "SEEN" + ")" * 100, "NOT " * 60 + "SEEN",
        "MODSEQ 1", "$", "{5}", "SEEN {3}",
    ],
)  # fmt: skip
def test_what_is_not_made_of_keys_is_looked_for_as_it_is(query: str) -> None:
    [key, text] = search_words(query)
    assert key == b"TEXT"
    assert re.sub(rb"\\(.)", rb"\1", text[1:-1]).decode() == query


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ('"two words"', [b'"two words"']),
        (' "two words" ', [b'"two words"']),
        ('"two words" "and three more"', [b'"two words"', b'"and three more"']),
        ('before it "two words" and after', [b'"before it"', b'"two words"', b'"and after"']),
        ('KEYWORD "a b"', [b'"KEYWORD"', b'"a b"']),
        ('"low water" new', [b'"low water"', b'"new"']),
        ('"a \\"quoted\\" word"', [b'"a \\"quoted\\" word"']),
        ('"" tide', [b'"tide"']),
        ('"für Jürgen"', ["für Jürgen".encode()]),
    ],
)
def test_what_stands_in_quotes_is_a_phrase(query: str, words: list[bytes]) -> None:
    assert search_words(query) == [word for text in words for word in (b"TEXT", text)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ('"two words" UNSEEN', [b"TEXT", b'"two words"', b"UNSEEN"]),
        ('NOT "two words"', [b"NOT", b"TEXT", b'"two words"']),
        ('OR "a b" (FROM c "d e")', [b"OR", b"TEXT", b'"a b"', *_GROUP]),
    ],
)
def test_a_phrase_may_stand_among_keys(query: str, words: list[bytes]) -> None:
    assert search_words(query) == words


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("Jürgen", b"ALL"),
        ("FROM Jürgen SEEN", b"ALL SEEN"),
        ("NOT FROM Jürgen SEEN", b"NOT NOT ALL SEEN"),
        ("OR FROM Jürgen SEEN", b"OR ALL SEEN"),
        ("NOT (SEEN NOT SUBJECT 潮)", b"NOT ( SEEN NOT ALL )"),
        ('SUBJECT tide "für dich"', b'SUBJECT "tide" ALL'),
        ("NOT OR SEEN FROM ü", b"NOT OR SEEN NOT ALL"),
    ],
)
def test_a_server_that_knows_ascii_only_is_asked_for_no_less_than_what_matches(
    query: str, asked: bytes
) -> None:
    assert b" ".join(written(widened(search_key(query)))) == asked


def test_other_scripts_travel_as_literals() -> None:
    assert search_words("潮汐") == [b"TEXT", "潮汐".encode()]
    assert search_words("FROM Jürgen SEEN") == [b"FROM", "Jürgen".encode(), b"SEEN"]
    assert isinstance(search_words("潮汐")[1], Literal)


@pytest.mark.parametrize("query", ["a\r\nP9 DELETE INBOX", "FROM a\nb", "nul\0", "\x7f", 'FROM "a\rb"'])
def test_control_characters_are_refused(query: str) -> None:
    with pytest.raises(InvalidRequest):
        search_words(query)


_SAFE = re.compile(rb'"(?:[^"\\\x00-\x1f\x7f-\xff]|\\["\\])*"|[()]|[A-Za-z0-9$_.-]+')
_PIECES = st.sampled_from(
    [*sorted(BARE), "FROM", "TEXT", "NOT", "OR", "HEADER", "SINCE", "LARGER", "KEYWORD", "(", ")", '"', "\\",
     "*", "{3}", "{3+}", "1-Jan-2026", "7", "ü", "a b", '"x y"', "%", "]", "UID", "%d"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=12).map(" ".join)))
def test_whatever_a_client_sends_is_either_refused_or_harmless(query: str) -> None:
    try:
        words = search_words(query)
    except InvalidRequest:
        return
    for word in words:
        if isinstance(word, Literal):
            assert not {0, 10, 13} & set(word)
        else:
            assert _SAFE.fullmatch(word), word
    assert words.count(b"(") == words.count(b")")
