"""Reading LIST and STATUS, whose names servers do not always write as they should."""

from __future__ import annotations

import re

from chalicelib import bounds
from chalicelib.providers.imap.folders.roles import Listed
from chalicelib.providers.imap.protocol.lines import Line

INBOX = b"INBOX"

_LIST = re.compile(rb'\* LIST +\(([^()]*)\) +(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))[ \t]+(.*)', re.I | re.S)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"(?=\s|\Z)', re.S)
_LITERAL = re.compile(rb"\{\d+\}")
_EXTENDED = re.compile(rb'\s\("?(CHILDINFO|OLDNAME)"?\s.*\)\Z', re.I | re.S)
_ESCAPED = re.compile(rb"\\(.)", re.S)
_MOST_OCTETS = 2 * bounds.FOLDER_NAME_BYTES  # of what stands for a name, escapes included
_STATUS_WORD = len(b"* STATUS ")


def listed_in(line: Line) -> Listed | None:
    """Return what a line of LIST says, None if it cannot be read."""
    found = _LIST.match(line.text)
    name = _name(found.group(4), line.literals) if found else b""
    if found is None or not name:
        return None
    attributes = found.group(1).decode("latin-1").upper().split()
    quoted, bare = found.group(2, 3)
    separator = b"" if bare and bare.upper() == b"NIL" else _unescaped(quoted if bare is None else bare)
    return Listed(name, frozenset(attributes), separator.decode("latin-1"))


def status_in(line: Line) -> tuple[bytes, list[bytes]] | None:
    """Return the name and the words of an answer to STATUS, None if it cannot be read."""
    name, opened, words = line.text[_STATUS_WORD:].rpartition(b"(")
    read = _name(name, line.literals) if opened else b""
    return (read, words.rstrip(b") \t").split()) if read else None


def key(name: bytes) -> bytes:
    """Return a name as it is compared: INBOX is one in any case (RFC 3501 section 5.1)."""
    return INBOX if name.upper() == INBOX else name


def _name(text: bytes, literals: list[bytes]) -> bytes:
    """Return a name however it is written; one without quotes goes to the end. Empty if it is too long."""
    text = text.strip()
    if len(text) > _MOST_OCTETS:
        return b""
    if literals and _LITERAL.match(text):
        name = literals[-1]
    elif quoted := _QUOTED.match(text):
        name = _unescaped(quoted.group(1))
    else:
        name = _EXTENDED.sub(b"", text)
    return name if len(name) <= bounds.FOLDER_NAME_BYTES else b""


def _unescaped(quoted: bytes) -> bytes:
    return _ESCAPED.sub(rb"\1", quoted)
