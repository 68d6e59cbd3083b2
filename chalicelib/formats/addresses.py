"""Address headers as people and programs really write them (RFC 5322 section 3.4 and worse)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from chalicelib.domain.message import Address
from chalicelib.formats.headers import text

MAX_ADDRESSES = 1000
_LONGEST = 255
_SIMPLE = re.compile(r'(?:"([^"\\=]*)"\s*|([^"\\<>(),:;@=]*))<([^\s<>(),:;"]+@[^\s<>(),:;"@]+)>')
_TOKEN = re.compile(
    r"""(?P<quoted>"(?:\\.|[^"\\])*")|(?P<comment>\((?:\\.|[^()\\]|\([^()]*\))*\)?)"""
    r"""|(?P<angle><[^<>]*>+|<[^<>,;]*)|(?P<end>[,;])|(?P<group>:)|(?P<word>[^"(<,;:]+|.)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ADDRESS_WORD = re.compile(r"\S+@\S+")


class _Mailbox:
    """What was read since the last comma."""

    def __init__(self) -> None:
        self.phrase = ""
        self.comment = ""
        self.email = ""
        self.angle = False


def addresses(values: Iterable[str]) -> tuple[Address, ...]:
    """Return everyone named in the raw header values, in order; what is no address is left out."""
    found: list[Address] = []
    for value in values:
        found.extend(_of_header(value))
        if len(found) >= MAX_ADDRESSES:
            break
    return tuple(found[:MAX_ADDRESSES])


def _of_header(value: str) -> list[Address]:
    simple = _SIMPLE.fullmatch(value)
    if simple:
        return [_address(simple[1] or simple[2] or "", simple[3])]
    found = _people(_mailboxes(value))
    if not found and "=?" in value and "@" in (decoded := text(value)):
        return _people(_mailboxes(decoded))  # the whole header is one encoded word
    return found


def _mailboxes(value: str) -> list[_Mailbox]:
    boxes = [_Mailbox()]
    for token in _TOKEN.finditer(value):
        kind, content = token.lastgroup, token[0]
        if kind == "end":
            boxes.append(_Mailbox())
        elif kind == "group":
            _group_or_word(boxes[-1])
        else:
            _add(boxes[-1], kind or "word", content)
    return boxes


def _group_or_word(box: _Mailbox) -> None:
    """A colon ends the name of a group, or stands inside `mailto:` and display names."""
    if "@" in box.phrase:
        box.phrase += ":"
    else:
        box.phrase = ""


def _add(box: _Mailbox, kind: str, content: str) -> None:
    if kind == "angle":
        inner = content.strip("<> \t")
        if "@" in inner or not box.email:
            box.email, box.angle = inner, True
    elif kind == "comment":
        box.comment = box.comment or content[1:].removesuffix(")")
    elif kind == "quoted" and "@" not in content:
        box.phrase += _ESCAPED.sub(r"\1", content[1:-1])
    else:
        box.phrase += content


def _people(boxes: list[_Mailbox]) -> list[Address]:
    found: list[Address] = []
    loose: list[str] = []
    for box in boxes:
        if not box.angle and "@" not in box.phrase:
            loose.append(box.phrase.strip())
            continue
        if box.angle:
            box.phrase = ", ".join([*filter(None, loose), box.phrase.strip()])
        loose = []
        found.extend(_person(box))
    lonely = loose[0] if len(loose) == 1 else ""
    if not found and lonely and " " not in lonely and len(boxes) == 1:
        return [_address(boxes[0].comment, lonely)]  # a local user, as in a cron mail
    return found


def _person(box: _Mailbox) -> list[Address]:
    name = box.phrase
    if not box.angle:
        word = _ADDRESS_WORD.search(box.phrase)
        if word is None:
            return []
        box.email = word[0]
        name = box.phrase[: word.start()] + box.phrase[word.end() :]
    person = _address(name.strip() or box.comment, box.email)
    return [person] if person.email else []


def _address(name: str, email: str) -> Address:
    email = "".join(text(email).split()).strip("\"'<>")
    email = email[7:] if email[:7].lower() == "mailto:" else email
    return Address(_name(name), email[:_LONGEST])


def _name(raw: str) -> str:
    name = " ".join(text(raw).split())
    while len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1].strip()
    return name.strip('"')[:_LONGEST]
