"""A client's search text as IMAP search keys (RFC 3501 and RFC 9051, section 6.4.4).

Nothing of the text reaches the server unread: keys come from the lists below, strings are quoted anew or
sent as literals, numbers and dates are checked. A text that is not made of keys is looked for as it is; in
double quotes stands a phrase, and what is around it is a phrase, too.

Keys without an argument count in capitals only, because NEW is a key and "new" is a word. Message numbers
and UIDs are no keys here: they mean nothing to a client, and "2024" is a word.
"""

from __future__ import annotations

import re

from chalicelib import bounds
from chalicelib.errors import InvalidRequest
from chalicelib.providers.imap.search.search_tree import Either, Every, Key, Not, Plain, Text, Words, written

BARE = frozenset(
    "ALL ANSWERED DELETED DRAFT FLAGGED NEW OLD RECENT SEEN "
    "UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN".split()
)
_TEXTS = frozenset("BCC BODY CC FROM SUBJECT TEXT TO".split())
_DATES = frozenset("BEFORE ON SENTBEFORE SENTON SENTSINCE SINCE".split())
_NUMBERS = frozenset("LARGER SMALLER".split())
_FLAGS = frozenset("KEYWORD UNKEYWORD".split())
_MOST_NUMBER = 2**32 - 1
_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\["\\])*)"(?=[\s()]|$)|([()])|([^\s()"]+))')
_DATE = re.compile(
    r"(?:0?[1-9]|[12][0-9]|3[01])-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d{4}", re.I
)
_FLAG = re.compile(r"[A-Za-z0-9$_.-]+")
_FIELD = re.compile(r"[A-Za-z0-9-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PHRASE = re.compile(r'(?:^|(?<=[\s()]))"((?:[^"\\]|\\["\\])*)"(?=[\s()]|$)')
_ESCAPED = re.compile(r"\\(.)")


class _NoKeys(Exception):
    """The text is not made of search keys."""


def search_words(query: str) -> Words:
    """Return the keys and arguments of SEARCH, in UTF-8. Raises InvalidRequest."""
    return written(search_key(query))


def search_key(query: str) -> Key:
    """Return what a client's text looks for. Raises InvalidRequest."""
    if _CONTROL.search(query):
        raise InvalidRequest("q must not hold control characters")
    try:
        return _Keys(query).every()
    except _NoKeys:
        return _phrases(query)


def _phrases(query: str) -> Key:
    """Return the search for every phrase; a quote that never closes is a character like others."""
    try:
        _tokens(query)
        pieces = _PHRASE.split(query)
    except _NoKeys:
        pieces = [query]
    texts = [
        _ESCAPED.sub(r"\1", piece) if number % 2 else piece.strip() for number, piece in enumerate(pieces)
    ]
    keys = [Text("TEXT", text) for text in texts if text.strip()]
    return Every(tuple(keys)) if keys else Text("TEXT", query.strip())


class _Keys:
    """The keys of one text, read from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._place = 0

    def every(self) -> Key:
        """Return all keys, which must all match. Raises _NoKeys."""
        keys = [self._key(0)]
        while self._place < len(self._tokens):
            keys.append(self._key(0))
        return Every(tuple(keys))

    def _key(self, depth: int) -> Key:
        kind, text = self._next()
        if kind == "quoted" and text.strip():
            return Text("TEXT", text)
        if kind == "bracket" and text == "(" and depth < bounds.SEARCH_KEYS_DEPTH:
            return self._group(depth + 1)
        if kind != "atom" or depth >= bounds.SEARCH_KEYS_DEPTH:
            raise _NoKeys
        if text in BARE:
            return Plain((text.encode(),))
        name = text.upper()
        if name == "NOT":
            return Not(self._key(depth + 1))
        if name == "OR":
            return Either(self._key(depth + 1), self._key(depth + 1))
        return self._with_argument(name)

    def _group(self, depth: int) -> Key:
        keys = [self._key(depth)]
        while self._peek() != ("bracket", ")"):
            keys.append(self._key(depth))
        self._next()
        return Every(tuple(keys))

    def _with_argument(self, name: str) -> Key:
        if name in _TEXTS:
            return Text(name, self._text())
        if name == "HEADER":
            field = self._checked(_FIELD).decode()
            return Text(name, self._text(), field)
        if name in _DATES:
            return Plain((name.encode(), self._checked(_DATE)))
        if name in _FLAGS:
            return Plain((name.encode(), self._checked(_FLAG)))
        if name in _NUMBERS:
            return Plain((name.encode(), self._number()))
        raise _NoKeys

    def _number(self) -> bytes:
        text = self._text()
        if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= _MOST_NUMBER):
            raise _NoKeys
        return text.encode()

    def _checked(self, pattern: re.Pattern[str]) -> bytes:
        text = self._text()
        if not pattern.fullmatch(text):
            raise _NoKeys
        return text.encode()

    def _text(self) -> str:
        kind, text = self._next()
        if kind == "bracket":
            raise _NoKeys
        return text

    def _peek(self) -> tuple[str, str]:
        if self._place >= len(self._tokens):
            raise _NoKeys
        return self._tokens[self._place]

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._place += 1
        return token


def _tokens(text: str) -> list[tuple[str, str]]:
    """Return the words as pairs of kind (atom, quoted, bracket) and text. Raises _NoKeys."""
    found: list[tuple[str, str]] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise _NoKeys
        quoted, bracket, atom = match.groups()
        if quoted is not None:
            found.append(("quoted", _ESCAPED.sub(r"\1", quoted)))
        else:
            found.append(("bracket", bracket) if bracket else ("atom", atom))
        place = match.end()
    return found
