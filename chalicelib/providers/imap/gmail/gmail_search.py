"""Search in Gmail's own language (X-GM-RAW), and what of it is answered here if the server refuses UTF-8."""

from __future__ import annotations

import re

from chalicelib import bounds
from chalicelib.errors import InvalidRequest
from chalicelib.providers.imap.fetch.partial import raise_if_throttled
from chalicelib.providers.imap.protocol.lines import Literal
from chalicelib.providers.imap.protocol.session import Session
from chalicelib.providers.imap.search import search_here
from chalicelib.providers.imap.search.search_here import uids_of
from chalicelib.providers.imap.search.search_tree import Every, Key, Not, Text

_TERM = re.compile(r'(-?)(?:([A-Za-z_]+):)?(?:"([^"]*)"|([^\s"(){}]+))(?=\s|$)\s*')
_PARTS = {"": "TEXT", "bcc": "BCC", "cc": "CC", "from": "FROM", "subject": "SUBJECT", "to": "TO"}


def search(session: Session, query: str) -> list[int]:
    """Return the UIDs in the open mailbox that Gmail's own search syntax finds, ascending.

    The query travels as a literal, so nothing in it can be taken for a command. Raises ProviderError,
    InvalidRequest; a blank query finds nothing.
    """
    raw = query.replace("\0", "").encode("utf-8", "replace")
    if not raw.strip():
        return []
    reply = session.wire.run(b"UID SEARCH", b"CHARSET UTF-8 X-GM-RAW", Literal(raw))
    if reply.ok or raw.isascii():
        return sorted(set(uids_of(reply, b"SEARCH")))
    raise_if_throttled(reply)
    return _without_utf8(session, raw.decode())


def _without_utf8(session: Session, query: str) -> list[int]:
    """Ask the server for the terms in ASCII, and look for the others in what it finds."""
    ascii_terms, keys = _terms(query)
    words = [b"X-GM-RAW", Literal(" ".join(ascii_terms).encode())] if ascii_terms else [b"ALL"]
    found = sorted(set(uids_of(session.wire.run(b"UID SEARCH", *words), b"SEARCH")), reverse=True)
    newest = found[: bounds.SEARCHED_HERE_MESSAGES]
    return sorted(search_here.matching(session, Every(tuple(keys)), newest))


def _terms(query: str) -> tuple[list[str], list[Key]]:
    """Return the terms in ASCII as they stand, and the others as keys. Raises InvalidRequest."""
    ascii_terms: list[str] = []
    keys: list[Key] = []
    place, query = 0, query.strip()
    while place < len(query):
        term = _TERM.match(query, place)
        if term is None:
            raise _beyond_us()
        if term[0].isascii():
            ascii_terms.append(term[0].strip())
        else:
            keys.append(_key(term))
        place = term.end()
    if "OR" in ascii_terms:
        raise _beyond_us()
    return ascii_terms, keys


def _key(term: re.Match[str]) -> Key:
    sign, operator, phrase, word = term.groups()
    name = _PARTS.get((operator or "").lower())
    if name is None:
        raise _beyond_us()
    key = Text(name, phrase if phrase is not None else word)
    return Not(key) if sign else key


def _beyond_us() -> InvalidRequest:
    return InvalidRequest("The mail server searches like this for ASCII characters only.")
