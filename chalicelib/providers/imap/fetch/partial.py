"""Messages by their beginning: flags, date, size and the first octets of each in one answer.

Mail that is not large is shorter than a beginning, and so comes as a whole without being measured first.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chalicelib.formats.header.head import read as read_head
from chalicelib.formats.header.message_ids import own_id
from chalicelib.providers.imap.fetch.mailbox import MEASURE, measured, metas, rows
from chalicelib.providers.imap.protocol.failures import failure, throttled
from chalicelib.providers.imap.protocol.lines import Command, Line, Reply
from chalicelib.providers.imap.protocol.metadata import LARGE, QUOTED_BODY, Meta, meta_of
from chalicelib.providers.imap.protocol.numbers import uid_sets
from chalicelib.providers.imap.protocol.session import Session

BEGINNING = LARGE
"""Octets of a beginning: the headers, and of large messages enough of the text for its first words."""

AT_ONCE = 400
"""So many beginnings are asked for in one step: 26 MB at the very most."""

FIRST = b"BODY.PEEK[]<0.%d>" % BEGINNING
_ITEMS = MEASURE[:-1] + b" " + FIRST + b")"
_HEAD = re.compile(rb".*?\n\r?\n", re.S)
_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:([^\n]*)$", re.I | re.M)
_PLAIN_ID = re.compile(rb"[ \t]*<[!-;=?A-~]+@[!-;=?A-~]+>\s*")


@dataclass(frozen=True, slots=True)
class Beginnings:
    """By UID; of a message whose first octets did not come there is only its `metas`."""

    metas: Mapping[int, Meta] = field(default_factory=dict)
    raw: Mapping[int, bytes] = field(default_factory=dict)

    def __or__(self, other: Beginnings) -> Beginnings:
        return Beginnings({**self.metas, **other.metas}, {**self.raw, **other.raw})

    def enough(self, meta: Meta, *, cut: bool) -> bytes | None:
        """Return the message, or with `cut` a beginning that tells who it is; None if more is needed."""
        raw = self.raw.get(meta.uid)
        if raw is None:
            return None
        return raw if (tells(raw) if cut else max(len(raw), meta.size) < BEGINNING) else None


def beginnings(session: Session, uids: Sequence[int]) -> Beginnings:
    """Return those that exist, in one round trip if the server gives them all out.

    Of what it refuses or passes over in silence there are the `metas` only.
    """
    found = Beginnings()
    asked = set(uids)
    for reply in session.wire.run_all(question(part) for part in uid_sets(uids)):
        found |= read(reply.lines, asked)
        if not reply.ok:
            raise_if_throttled(reply)
    left = [uid for uid in uids if uid not in found.metas]
    return found | Beginnings(metas(session, left)) if left else found


def question(uid_set: bytes) -> Command:
    """Return the command that asks for the beginnings of a set of UIDs."""
    return b"UID FETCH", uid_set, _ITEMS


def read(lines: Iterable[Line], asked: Container[int]) -> Beginnings:
    """Return the beginnings of the UIDs asked for that are among the answers."""
    found = dict(measured(rows(lines), asked))
    raw = {uid: content for uid, line in found.items() if (content := body(line))}
    return Beginnings({uid: meta_of(uid, line) for uid, line in found.items()}, raw)


def body(line: Line) -> bytes | None:
    """Return what an answer to FETCH has of a body, None if nothing."""
    if line.literals:
        return line.literals[-1]
    quoted = QUOTED_BODY.search(line.text)
    return re.sub(rb"\\(.)", rb"\1", quoted.group(1)) if quoted and quoted.group(1) else None


def tells(beginning: bytes) -> bool:
    """Whether a beginning has all the headers and a Message-ID among them."""
    head = _HEAD.match(beginning)
    if head is None:
        return False
    named = _MESSAGE_ID.findall(head[0])
    if len(named) == 1 and _PLAIN_ID.fullmatch(named[0]):  # as in nearly all mail
        return True
    return own_id(read_head(head[0], 0, head.end())[0]) is not None


def raise_if_throttled(reply: Reply) -> None:
    """Raise Throttled if that is why the server refused."""
    if throttled(reply.text):
        raise failure(reply.text)
