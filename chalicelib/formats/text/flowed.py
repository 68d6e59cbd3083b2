"""Plain text whose paragraphs flow: format=flowed (RFC 3676)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUOTE = re.compile(r">*")
_SIGNATURE = "-- "


def joined(text: str, *, delete_space: bool) -> str:
    """Return the text with its soft line breaks joined, each quoted paragraph on one line.

    With `delete_space` (`DelSp=yes`) the blank before a soft break belongs to the break.
    """
    return "\n".join(_paragraphs(text.split("\n"), delete_space))


def _paragraphs(lines: list[str], delete_space: bool) -> Iterator[str]:
    depth, pieces = 0, list[str]()
    for line in lines:
        quotes = _QUOTE.match(line)
        now = quotes.end() if quotes else 0
        content = line[now:].removeprefix(" ")
        if pieces and (now != depth or content == _SIGNATURE):
            yield _line(depth, pieces)
            pieces = []
        depth = now
        soft = content.endswith(" ") and content != _SIGNATURE
        pieces.append(content[:-1] if soft and delete_space else content)
        if not soft:
            yield _line(depth, pieces)
            pieces = []
    if pieces:
        yield _line(depth, pieces)


def _line(depth: int, pieces: list[str]) -> str:
    return ">" * depth + " " * bool(depth) + "".join(pieces)
