"""Where the head of a mail or part begins and ends, and its headers, folded well or badly (RFC 5322 2.2)."""

from __future__ import annotations

import re
from itertools import takewhile

from chalicelib import bounds
from chalicelib.formats.header.headers import Headers
from chalicelib.formats.header.parameters import parameters

_END = re.compile(rb"\r?\n")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_NAME = re.compile(r"([!-9;-~]+)[ \t]*:")
_FIRST = re.compile(rb">?From |[!-9;-~]+[ \t]*:")
_PARAMETER = re.compile(r"[A-Za-z][\w*-]*[ \t]*=")
_NO_HEAD = b" \t\r\n\0\f\v\x1a\xef\xbb\xbf"
_MAILBOX_LINE = ("From ", ">From ")
_ENOUGH = 2
_ORDINARY = frozenset(
    """bcc cc content-disposition content-transfer-encoding content-type date delivered-to dkim-signature from
    importance in-reply-to list-id list-unsubscribe message-id mime-version precedence priority received
    references reply-to return-path sender subject to user-agent""".split()
)


def beginning(raw: bytes) -> int:
    """Return where the head of a mail begins: past a byte order mark, blank lines, or a few lines of junk.

    Text that does not go on like a head is left alone.
    """
    if _FIRST.match(raw):
        return 0
    looked_at = raw[: bounds.HEAD_SEARCH_BYTES]
    start = len(looked_at) - len(looked_at.lstrip(_NO_HEAD))
    for line in looked_at[start:].split(b"\n")[: bounds.JUNK_LINES + 1]:
        if not line.strip():
            break
        if _is_head(raw, start):
            return start
        start += len(line) + 1
    return 0


def _is_head(raw: bytes, start: int) -> bool:
    """Tell whether headers that nearly every mail has begin here."""
    block = raw[start : start + bounds.HEAD_SEARCH_BYTES].decode("latin-1")
    found = 0
    for line in block.split("\n"):
        name = _NAME.match(line)
        if not name and (not found or not line.strip() or line[0] not in " \t"):
            break
        found += name is not None and _is_ordinary(name[1])
        if found == _ENOUGH:
            return True
    return False


def _is_ordinary(name: str) -> bool:
    return name.lower() in _ORDINARY or name[:2] in ("X-", "x-")


def read(raw: bytes, start: int, end: int, most: int = bounds.HEAD_BYTES) -> tuple[Headers, int]:
    """Return the headers that begin at `start` and where the body after them begins.

    Of a head longer than `most` bytes only the first headers are returned.
    """
    blank = _END.match(raw, start, end) or _BLANK_LINE.search(raw, start, end)
    stop = blank.start() if blank else end
    lines = raw[start : min(stop, start + most)].decode("utf-8", "surrogateescape").split("\n")
    pairs, body = _pairs((lines[:-1] if stop > start + most else lines)[: bounds.HEAD_LINES])
    if body is not None:
        return Headers(pairs), _line_start(raw, start, body)
    return Headers(pairs), blank.end() if blank else end


def _pairs(lines: list[str]) -> tuple[list[tuple[str, str]], int | None]:
    """Return the headers, and the line where the body begins if that comes before the blank line."""
    folded: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines):
        match = _NAME.match(line)
        if match:
            folded.append((match[1], [line[match.end() :].strip()]))
        elif (line[:1] in (" ", "\t") and folded) or _continues(folded, line, lines, number):
            folded[-1][1].append(line.strip())
        elif _delimits(folded, line) or not _more_follows(lines, number):
            return _joined(folded), number
    return _joined(folded), None


def _delimits(folded: list[tuple[str, list[str]]], line: str) -> bool:
    """Tell whether a line is the first delimiter of a multipart, to which no blank line leads."""
    boundary = line[2:].rstrip()
    if line[:2] != "--" or not boundary:
        return False
    types = ("".join(pieces) for name, pieces in folded if name.lower() == "content-type")
    return any(parameters(value)[1].get("boundary") == boundary for value in types)


def _continues(folded: list[tuple[str, list[str]]], line: str, lines: list[str], number: int) -> bool:
    """Tell whether a line that is no header goes on with the one before, which nobody folded."""
    if not folded or not line.strip() or line.startswith(_MAILBOX_LINE):
        return False
    name, pieces = folded[-1]
    if (pieces[-1].endswith(";") and _PARAMETER.match(line)) or (pieces[-1].endswith(",") and "@" in line):
        return True
    unfinished = name.lower() == "subject" or line.startswith("=?")
    return unfinished and _more_follows(lines, number)


def _more_follows(lines: list[str], number: int) -> bool:
    """Tell whether a line that is no header is mere junk between headers."""
    if number + 1 == len(lines):
        return not lines[number].strip()
    if number == 0:
        return lines[0].startswith(_MAILBOX_LINE)
    if _NAME.match(lines[number + 1]):
        return True
    following = lines[number : number + 1 + bounds.JUNK_LINES]
    names = [_NAME.match(line) for line in takewhile(lambda line: line[:2] != "--", following)]
    return any(name and _is_ordinary(name[1]) for name in names)


def _joined(folded: list[tuple[str, list[str]]]) -> list[tuple[str, str]]:
    return [(name, pieces[0] if len(pieces) == 1 else "\n".join(pieces)) for name, pieces in folded]


def _line_start(raw: bytes, start: int, number: int) -> int:
    for _ in range(number):
        start = raw.index(b"\n", start) + 1
    return start
