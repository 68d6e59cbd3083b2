"""Address headers as people and programs really write them (RFC 5322 section 3.4 and worse).

Only what stands in angle brackets, or bare, is an address. What a quoted string, a comment or an encoded
word holds is part of a name, whatever it looks like: otherwise a name could pass for somebody else.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from chalicelib import bounds
from chalicelib.domain.mail.message import Address
from chalicelib.formats.header.address_tokens import SIGNS, Kind, Piece, tokens
from chalicelib.formats.header.bare_addresses import bare, unquoted
from chalicelib.formats.header.headers import one_line, repaired, text

_SIMPLE = re.compile(r'(?:"([^"\\=]*)"\s*|([^"\\<>(),:;@=]*))<([^\s<>(),:;"]+@[^\s<>(),:;"@]+)>')
_SIMPLE_ENCODED = re.compile(
    r'((?:=\?[\w-]{1,40}\?[bBqQ]\?[^\s?<>(),:;"@\\]*\?=[ \n]?)+)\s*<([^\s<>(),:;"@=]+@[^\s<>(),:;"@]+)>'
)
_SIMPLE_BARE = re.compile(r'([^\s<>(),:;"@=\[]+@[^\s<>(),:;"@=]+)(?:[ \n]\(([^()\\=]*)\))?')
_PARENTHESIS = re.compile(r"[()]")
_SPECIAL = re.compile(r'[\s<>()\[\],:;@"\\]')
_ROUTE = re.compile(r"(?:@[^\s:,@]++[\s,]*+)++:")
_ADDRESS = re.compile(r'"(?:[^"\\]|\\.)+"@[^\s"@]+|[^\s"]+@[^\s"@]+', re.DOTALL)
_LOOSE = 20
"""Pieces of a name between commas that nobody quoted."""


@dataclass(slots=True)
class _Mailbox:
    """What was read since the last comma; `group` is what stood before a colon."""

    pieces: list[Piece] = field(default_factory=list)
    comment: str = ""
    angle: str | None = None
    group: _Mailbox | None = None

    def phrase(self) -> str:
        """Return the words of a name, as they are to be shown."""
        return "".join(unquoted(kind, content) for kind, content in self.pieces).strip()

    def holds_an_address(self) -> bool:
        return self.angle is not None or any(k == "word" and "@" in content for k, content in self.pieces)


def addresses(values: Sequence[str]) -> tuple[Address, ...]:
    """Return everyone named in the raw header values, in order; what is no address is left out.

    A line feed is where a value was folded.
    """
    found: list[Address] = []
    characters, pieces = bounds.ADDRESS_CHARACTERS, bounds.ADDRESS_PIECES
    if len(values) == 1:  # as in nearly all mail
        return tuple(_of_header(values[0][:characters], pieces)[: bounds.ADDRESSES])
    for value in values:
        found.extend(_of_header(value[:characters], pieces))
        characters -= len(value)
        pieces -= 1 + 2 * sum(map(value.count, SIGNS))
        if len(found) >= bounds.ADDRESSES or characters <= 0 or pieces <= 0:
            break
    return tuple(found[: bounds.ADDRESSES])


def _of_header(value: str, most: int) -> list[Address]:
    simple = _SIMPLE.fullmatch(value)
    if simple:
        return _person(simple[1] or simple[2] or "", simple[3])
    simple = _SIMPLE_ENCODED.fullmatch(value)
    if simple:
        return _person(simple[1].replace("\n", " "), simple[2])
    simple = _SIMPLE_BARE.fullmatch(value)
    if simple:
        return _person(simple[2] or "", simple[1])
    boxes = _mailboxes(islice(tokens(value.replace("\0", "")), most))
    found = _people(boxes)
    return found or (_lonely(boxes[0]) if len(boxes) == 1 else [])


def _mailboxes(pieces: Iterable[Piece]) -> list[_Mailbox]:
    boxes = [_Mailbox()]
    for kind, content in pieces:
        box = boxes[-1]
        if kind == "colon":
            boxes[-1] = _Mailbox(group=box.group or box)
        elif kind in ("comma", "semicolon"):
            if kind == "semicolon" and not box.pieces:
                box.group = None  # an empty group
            boxes.append(_Mailbox())
        else:
            _add(box, kind, content)
    last = boxes[-1]
    return boxes if last.pieces or last.angle or last.group or len(boxes) == 1 else boxes[:-1]


def _add(box: _Mailbox, kind: Kind, content: str) -> None:
    if kind == "comment":
        box.comment = box.comment or content[1:-1]
    elif kind == "angle":
        inner = _inside(content)
        if "@" in inner or not box.angle:
            box.angle = inner
    else:
        box.pieces.append((kind, content))


def _inside(angle: str) -> str:
    """Return the address in angle brackets without comments, blanks and the route to it (section 4.4)."""
    inner = angle.strip("<>").strip()
    if inner[:1] == '"':
        return inner
    inner = _without_comments(inner)
    route = _ROUTE.match(inner)
    inner = inner[route.end() :] if route else inner
    whole = "".join(inner.split())
    return whole if whole.count("@") <= 1 else next(word for word in inner.split() if "@" in word)


def _without_comments(text: str) -> str:
    """Leave out every comment with those inside it, in one pass; a parenthesis without its pair stays."""
    opened: list[int] = []
    comments: list[tuple[int, int]] = []
    for sign in _PARENTHESIS.finditer(text):
        if sign[0] == "(":
            opened.append(sign.start())
        elif opened:
            start = opened.pop()
            while comments and comments[-1][0] > start:
                comments.pop()
            comments.append((start, sign.end()))
    kept = zip(
        [0, *(end for _, end in comments)], [*(start for start, _ in comments), len(text)], strict=True
    )
    return "".join(text[start:end] for start, end in kept).strip()


def _people(boxes: list[_Mailbox]) -> list[Address]:
    found: list[Address] = []
    loose = deque[str](maxlen=_LOOSE)
    for box in boxes:
        box = box.group if box.group and not box.holds_an_address() else box
        people = _in_box(box, loose)
        if people:
            loose.clear()
        elif phrase := box.phrase():
            loose.append(phrase)
        found.extend(people)
    return found


def _in_box(box: _Mailbox, loose: Iterable[str]) -> list[Address]:
    """Return who is named between two commas; names with commas that were not quoted come from `loose`."""
    written = [] if box.angle and "@" in box.angle else bare(box.pieces)
    if written:
        return [person for email, words in written for person in _person(words or box.comment, email)]
    if not box.angle:
        return []
    return _person(", ".join(filter(None, [*loose, box.phrase()])) or box.comment, box.angle)


def _lonely(box: _Mailbox) -> list[Address]:
    """Return the only thing in a header that holds no address: a local user, or an address in quotes."""
    pieces = [(kind, content.strip()) for kind, content in box.pieces if content.strip()]
    if len(pieces) != 1 or pieces[0][0] == "encoded" or box.angle is not None:
        return []
    content = unquoted(*pieces[0]).strip()
    if pieces[0][0] == "quoted" and not _ADDRESS.fullmatch(content):
        return []
    return _person(box.comment, content) if content and len(content.split()) == 1 else []


def _person(name: str, email: str) -> list[Address]:
    email = one_line(repaired(email)).strip("'<> ")
    email = email[1:-1] if (email[:1], email[-1:]) == ("[", "]") else email
    email = email if email[:1] == '"' and '"@' in email else email.strip('"')
    email = email[7:] if email[:7].lower() == "mailto:" else email
    email = _with_plain_local_part(email) if email[:2] == "=?" else email
    if not email or len(email) > bounds.ADDRESS_LENGTH or (email[:2], email[-2:]) == ("=?", "?="):
        return []
    return [Address(_name(name), email)]


def _with_plain_local_part(email: str) -> str:
    """Return an address with its local part decoded, though no encoded word belongs there (RFC 2047 5)."""
    local, _, domain = email.rpartition("@")
    decoded = text(local)
    return f"{decoded}@{domain}" if decoded and not _SPECIAL.search(decoded) else email


def _name(raw: str) -> str:
    name = " ".join(text(raw).split())
    while len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1].strip()
    return name.strip('"')[: bounds.NAME_CHARACTERS]
