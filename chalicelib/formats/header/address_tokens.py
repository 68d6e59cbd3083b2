"""An address header in its pieces (RFC 5322 section 3.4), in one pass over whatever somebody wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

Kind = Literal["word", "quoted", "encoded", "comment", "angle", "comma", "semicolon", "colon"]
Piece = tuple[Kind, str]

SIGNS = ('"', "(", "<", ",", ";", ":", "=?")
"""What begins a piece that is no mere word."""

_WORD = re.compile(r"""(?:@\[[^\[\]<>\s,;]{1,100}\]|[^"(<,;:=@]+|=(?!\?)|@)+""")
_ENCODED = re.compile(r"=\?[^?\s]{1,100}\?[bBqQ]\?\S{0,1000}?\?=")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_ANGLE = re.compile(r'<(?:"(?:[^"\\]|\\.){0,255}+"|[^<>"]){0,1000}+>+', re.DOTALL)
_OPEN_ANGLE = re.compile(r"<[^<>,;]{0,1000}")
_NOT_CLOSED = re.compile(r'<[^@<>,;:"]+@[^@<>,;:"]+[,;][^<>"]*@')
_PARENTHESIS = re.compile(r"\\.|[()]", re.DOTALL)
_MARKS: dict[str, Kind] = {",": "comma", ";": "semicolon", ":": "colon"}


def tokens(value: str) -> Iterator[Piece]:
    """Yield each piece as it stands there.

    An encoded word is one piece whatever it holds. A quote or parenthesis that nobody closes is a letter.
    """
    position, unclosed = 0, ""
    while position < len(value):
        first = value[position]
        kind, end = _MARKS.get(first, "word"), position
        if first in _MARKS:
            end = position + 1
        elif first in '"(<=' and first not in unclosed:
            kind, end = _enclosed(value, position)
            unclosed += first if end == position and first in '"(' else ""
        if end == position:
            kind, end = "word", _end_of_word(value, position)
        yield kind, value[position:end]
        position = end


def _enclosed(value: str, start: int) -> tuple[Kind, int]:
    """Return what begins at `start` and where it ends; `start` itself if it has no end."""
    if value[start] == '"':
        quoted = _QUOTED.match(value, start)
        return "quoted", quoted.end() if quoted else start
    if value[start] == "(":
        return "comment", _end_of_comment(value, start)
    if value[start] == "=":
        encoded = _ENCODED.match(value, start)
        return "encoded", encoded.end() if encoded else start
    closed = None if _NOT_CLOSED.match(value, start) else _ANGLE.match(value, start)
    angle = closed or _OPEN_ANGLE.match(value, start)
    return "angle", angle.end() if angle else start


def _end_of_comment(value: str, start: int) -> int:
    """Return where a comment ends, with those inside it; `start` if it does not."""
    depth = 0
    for sign in _PARENTHESIS.finditer(value, start):
        depth += {"(": 1, ")": -1}.get(sign[0], 0)
        if not depth:
            return sign.end()
    return start


def _end_of_word(value: str, start: int) -> int:
    word = _WORD.match(value, start)
    return word.end() if word else start + 1
