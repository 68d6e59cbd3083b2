"""The MIME tree of a mail, as ranges of its bytes: nothing is copied or decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from chalicelib import bounds
from chalicelib.formats.header import head
from chalicelib.formats.header.headers import Headers
from chalicelib.formats.header.parameters import parameters

_TYPE = re.compile(r"[!#-'*+\-.0-9A-Z^-z|~]+/[!#-'*+\-.0-9A-Z^-z|~]+")
_SOME_BOUNDARY = re.compile(rb"^--([!-~][ -~]{0,200})\r?$", re.MULTILINE)
_REST = re.compile(rb"(--)?[ \t\f\v]*+\r?(?:\n|\Z)")
_PRICE = 100
"""What a line that begins like a delimiter costs of the search, in bytes."""

_AT_LEAST_ONE_HEADER = re.compile(rb"content-", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One part; `index` is its place in walk order, `parent` the index of the part around it (-1: none).

    raw[start:end] is its encoded body.
    """

    index: int
    parent: int
    headers: Headers
    content_type: str
    parameters: Mapping[str, str]
    start: int
    end: int
    container: bool


class _Range(NamedTuple):
    """A part not read yet."""

    start: int
    end: int
    parent: int
    depth: int
    content_type: str


@dataclass(slots=True)
class _Allowance:
    """What a mail may still make us read, in bytes."""

    heads: int
    searched: int


def walk(raw: bytes) -> list[Node]:
    """Return every part in walk order, containers included; an attached mail is one part."""
    nodes: list[Node] = []
    allowed = _Allowance(heads=bounds.HEAD_BYTES, searched=_PRICE * bounds.PARTS + bounds.SEARCHES * len(raw))
    waiting = [_Range(head.beginning(raw), len(raw), -1, 0, "text/plain")]
    while waiting and len(nodes) < bounds.PARTS and allowed.heads > 0:
        node, children = _read(raw, waiting.pop(), len(nodes), allowed)
        nodes.append(node)
        waiting.extend(reversed(children))
        del waiting[: -bounds.PARTS]
    return nodes


def _read(raw: bytes, part: _Range, index: int, allowed: _Allowance) -> tuple[Node, list[_Range]]:
    found, body = head.read(raw, part.start, part.end, allowed.heads)
    allowed.heads -= body - part.start
    kind, values = _content_type(found.get("content-type"), part.content_type)
    ranges: list[tuple[int, int]] = []
    if kind.startswith("multipart/") and part.depth < bounds.PART_DEPTH:
        ranges = _children(raw, body, part.end, values.get("boundary", ""), allowed)
    if kind.startswith("multipart/") and not ranges:
        kind = "text/plain"  # nothing to divide: show what is there
    node = Node(
        index=index,
        parent=part.parent,
        headers=found,
        content_type=kind,
        parameters=values,
        start=body,
        end=part.end,
        container=bool(ranges),
    )
    inner = "message/rfc822" if kind == "multipart/digest" else "text/plain"
    return node, [_Range(start, end, index, part.depth + 1, inner) for start, end in ranges]


def _content_type(value: str, default: str) -> tuple[str, Mapping[str, str]]:
    if not value:
        return default, {}
    kind, values = parameters(value)
    if kind in ("text", "html", "text/"):
        kind = "text/html" if kind == "html" else "text/plain"
    if len(kind) > 255 or not _TYPE.fullmatch(kind, 0):
        kind = default if not values.get("name") else "application/octet-stream"
    return kind, values


def _children(raw: bytes, start: int, end: int, boundary: str, allowed: _Allowance) -> list[tuple[int, int]]:
    """Return the ranges between the delimiter lines (RFC 2046 section 5.1.1)."""
    found: list[tuple[int, int]] = []
    if boundary:
        found = _divided(raw, start, end, boundary.encode("utf-8", "surrogateescape"), allowed)
    if found or allowed.searched <= 0:
        return found
    allowed.searched -= end - start
    guess = _SOME_BOUNDARY.search(raw, start, end)
    if guess is None or not _AT_LEAST_ONE_HEADER.match(raw, guess.end() + 1):
        return []
    return _divided(raw, start, end, guess[1].rstrip(), allowed)


def _divided(raw: bytes, start: int, end: int, boundary: bytes, allowed: _Allowance) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    begin = -1
    for at, after, last in _delimiters(raw, start, end, b"--" + boundary, allowed):
        if begin >= 0:
            ranges.append((begin, max(begin, _before_newline(raw, at))))
        begin = after
        if last or len(ranges) >= bounds.PARTS:
            return ranges
    if begin >= 0 and raw[begin:end].strip():
        ranges.append((begin, end))
    return ranges


def _delimiters(
    raw: bytes, start: int, end: int, delimiter: bytes, allowed: _Allowance
) -> Iterator[tuple[int, int, bool]]:
    """Yield where each delimiter line begins and ends, and whether it closes the multipart."""
    position, line = start, b"\n" + delimiter
    at = start if raw.startswith(delimiter, start, end) else raw.find(line, start, end) + 1
    while at and allowed.searched > 0:
        rest = _REST.match(raw, at + len(delimiter), end)
        if rest:
            yield at, rest.end(), bool(rest[1])
        next_from = rest.end() - 1 if rest else at + len(delimiter)
        allowed.searched -= next_from - position + _PRICE
        position = next_from
        at = raw.find(line, position, end) + 1
    allowed.searched -= end - position


def _before_newline(raw: bytes, position: int) -> int:
    """Return where the line before ends: its line break belongs to the delimiter."""
    if raw[position - 1 : position] != b"\n":
        return position
    return position - 2 if raw[position - 2 : position - 1] == b"\r" else position - 1
