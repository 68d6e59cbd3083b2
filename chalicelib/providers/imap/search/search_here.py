"""Words outside ASCII, looked for here because the server knows no other charset (RFC 3501 section 6.4.4).

The server still answers every key in ASCII. Of what is left, the beginnings are fetched and read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from html import unescape

from chalicelib.domain.mail.message import Address
from chalicelib.formats.header import headers
from chalicelib.formats.mime import tree
from chalicelib.formats.mime.mime import ParsedMail, parse
from chalicelib.providers.imap.fetch.partial import beginnings
from chalicelib.providers.imap.protocol.lines import Reply
from chalicelib.providers.imap.protocol.numbers import number
from chalicelib.providers.imap.protocol.session import Session
from chalicelib.providers.imap.search.search_tree import (
    Either,
    Every,
    Key,
    Not,
    Plain,
    Text,
    is_ascii,
    written,
)

_TAG = re.compile(r"<[^<>]*>")
_BLANKS = re.compile(r"\s+")


def matching(session: Session, key: Key, uids: Sequence[int]) -> list[int]:
    """Return those of these messages of the open mailbox that match, in their order."""
    raw = beginnings(session, uids).raw
    found = _Here(session, {uid: _Read.of(one) for uid, one in raw.items()}).of(key, frozenset(raw))
    return [uid for uid in uids if uid in found]


def uids_of(reply: Reply, verb: bytes) -> list[int]:
    """Return the UIDs that an answer to SEARCH or SORT names. Raises ProviderError."""
    words = (word for line in reply.or_fail().of(verb) for word in line.text.split()[2:])
    return [uid for word in words if (uid := number(word))]


@dataclass(frozen=True, slots=True)
class _Read:
    """A message as it is searched."""

    mail: ParsedMail
    headers: headers.Headers

    @classmethod
    def of(cls, raw: bytes) -> _Read:
        return cls(parse(raw), tree.walk(raw)[0].headers)

    def part(self, key: Text) -> str:
        """Return the text that a key is about."""
        people = {"FROM": self.mail.sender, "TO": self.mail.to, "CC": self.mail.cc, "BCC": self.mail.bcc}
        if key.name in people:
            return _names(people[key.name])
        if key.name == "SUBJECT":
            return self.mail.subject
        if key.name == "HEADER":
            return "\n".join(map(headers.text, self.headers.get_all(key.field.lower())))
        body = unescape(_TAG.sub("", self.mail.body_html))
        if key.name == "BODY":
            return body
        files = [part.filename or "" for part in self.mail.parts]
        return "\n".join([self.mail.subject, *map(_names, people.values()), body, *files])


@dataclass(frozen=True, slots=True)
class _Here:
    """A search among messages that are at hand."""

    session: Session
    read: dict[int, _Read]

    def of(self, key: Key, among: AbstractSet[int]) -> AbstractSet[int]:
        """Return the UIDs that match."""
        if not among:
            return among
        if isinstance(key, Plain) or is_ascii(key):
            return among & set(uids_of(self.session.wire.run(b"UID SEARCH", *written(key)), b"SEARCH"))
        match key:
            case Text():
                wanted = _plain(key.text)
                return {uid for uid in among if wanted in _plain(self.read[uid].part(key))}
            case Not():
                return among - self.of(key.key, among)
            case Either():
                return self.of(key.one, among) | self.of(key.other, among)
            case Every():
                return self._every(key, among)

    def _every(self, key: Every, among: AbstractSet[int]) -> AbstractSet[int]:
        for one in sorted(key.keys, key=is_ascii, reverse=True):
            among = self.of(one, among)
        return among


def _names(people: Sequence[Address]) -> str:
    return "\n".join(f"{person.name} {person.email}" for person in people)


def _plain(text: str) -> str:
    """Make texts comparable: composed characters, no case, one blank for many."""
    return _BLANKS.sub(" ", unicodedata.normalize("NFKC", text).casefold())
