"""The MIME tree of a mail, as ranges of its bytes: nothing is copied or decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chalicelib.formats import headers
from chalicelib.formats.headers import Headers, parameters

MAX_DEPTH = 64
MAX_PARTS = 2000
_TYPE = re.compile(r"[!#-'*+\-.0-9A-Z^-z|~]+/[!#-'*+\-.0-9A-Z^-z|~]+")
_SOME_BOUNDARY = re.compile(rb"^--([!-~][ -~]{0,200})\r?$", re.MULTILINE)
_AT_LEAST_ONE_HEADER = re.compile(rb"content-", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One part; `index` is its place in walk order and raw[start:end] its encoded body."""

    index: int
    headers: Headers
    content_type: str
    parameters: dict[str, str]
    start: int
    end: int
    container: bool


def walk(raw: bytes) -> list[Node]:
    """Return every part in walk order, containers included; an attached mail is one part."""
    nodes: list[Node] = []
    waiting = [(0, len(raw), 0, "text/plain")]
    while waiting and len(nodes) < MAX_PARTS:
        start, end, depth, default = waiting.pop()
        node, children = _read(raw, start, end, len(nodes), default, depth < MAX_DEPTH)
        nodes.append(node)
        inner = "message/rfc822" if node.content_type == "multipart/digest" else "text/plain"
        waiting.extend((begin, stop, depth + 1, inner) for begin, stop in reversed(children))
    return nodes


def _read(
    raw: bytes, start: int, end: int, index: int, default: str, deeper: bool
) -> tuple[Node, list[tuple[int, int]]]:
    found, body = headers.read(raw, start, end)
    kind, values = _content_type(found.get("content-type"), default)
    children: list[tuple[int, int]] = []
    if kind.startswith("multipart/") and deeper:
        children = _children(raw, body, end, values.get("boundary", ""))
    if kind.startswith("multipart/") and not children:
        kind = "text/plain"  # nothing to divide: show what is there
    node = Node(
        index=index,
        headers=found,
        content_type=kind,
        parameters=values,
        start=body,
        end=end,
        container=bool(children),
    )
    return node, children


def _content_type(value: str, default: str) -> tuple[str, dict[str, str]]:
    if not value:
        return default, {}
    kind, values = parameters(value)
    kind = kind.split(",")[0].strip(" \t\"'")
    if kind in ("text", "html", "text/"):
        kind = "text/html" if kind == "html" else "text/plain"
    if len(kind) > 255 or not _TYPE.fullmatch(kind, 0):
        kind = default if not values.get("name") else "application/octet-stream"
    return kind, values


def _children(raw: bytes, start: int, end: int, boundary: str) -> list[tuple[int, int]]:
    """Return the ranges between the delimiter lines (RFC 2046 section 5.1.1)."""
    found = _divided(raw, start, end, boundary.encode("utf-8", "surrogateescape")) if boundary else []
    if found:
        return found
    guess = _SOME_BOUNDARY.search(raw, start, end)
    if guess is None or not _AT_LEAST_ONE_HEADER.match(raw, guess.end() + 1):
        return []
    return _divided(raw, start, end, guess[1].rstrip())


def _divided(raw: bytes, start: int, end: int, boundary: bytes) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    begin, position, delimiter = -1, start, b"--" + boundary
    while (position := raw.find(delimiter, position, end)) >= 0:
        after = position + len(delimiter)
        line_end = raw.find(b"\n", after, end)
        line_end = end if line_end < 0 else line_end
        rest = raw[after : min(line_end, after + 80)].strip()
        if rest not in (b"", b"--") or not _begins_line(raw, start, position):
            position = after
            continue
        if begin >= 0:
            ranges.append((begin, max(begin, _before_newline(raw, position))))
        begin, position = min(line_end + 1, end), line_end
        if rest == b"--":
            return ranges
    if begin >= 0 and raw[begin:end].strip():
        ranges.append((begin, end))
    return ranges


def _begins_line(raw: bytes, start: int, position: int) -> bool:
    return position == start or raw[position - 1 : position] == b"\n"


def _before_newline(raw: bytes, position: int) -> int:
    """Return where the line before ends: its line break belongs to the delimiter."""
    if raw[position - 1 : position] != b"\n":
        return position
    return position - 2 if raw[position - 2 : position - 1] == b"\r" else position - 1
