"""Which parts of a mail are its files, and what is said of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib import bounds
from chalicelib.formats.header import headers
from chalicelib.formats.header.parameters import parameters
from chalicelib.formats.mime.tree import Node
from chalicelib.formats.text import transfer
from chalicelib.formats.text.charset import encodable
from chalicelib.formats.text.transfer import Encoding

_BODY_TYPES = ("text/html", "text/plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPart:
    """A leaf of the MIME tree; `listed` parts are the message's files, the others are its body.

    `part` is the position in walk order, `size` counts decoded bytes, `content_id` is bare.
    """

    filename: str | None
    content_type: str
    size: int
    disposition: str | None
    content_id: str | None
    part: int
    listed: bool


def part_of(raw: bytes, nodes: Sequence[Node], node: Node) -> ParsedPart:
    """Return what is said of a leaf of the tree."""
    disposition, values = parameters(node.headers.get("content-disposition"))
    name = filename(node, values)
    content_id = headers.text(node.headers.get("content-id")).strip("<> \t")[: bounds.CONTENT_ID_CHARACTERS]
    listed = _is_file(nodes, node, disposition, name)
    if disposition not in ("attachment", "inline"):
        disposition = "inline" if content_id else "attachment"
    size = (
        transfer.decoded_size(raw, node.start, node.end, encoding(node)) if listed else node.end - node.start
    )
    return ParsedPart(
        filename=name,
        content_type=node.content_type,
        size=size,
        disposition=disposition if listed else None,
        content_id=content_id or None,
        part=node.index,
        listed=listed,
    )


def encoding(node: Node) -> Encoding:
    """Return how the bytes of a part are encoded."""
    return transfer.named(node.headers.get("content-transfer-encoding"))


def _is_file(nodes: Sequence[Node], node: Node, disposition: str, name: str | None) -> bool:
    """Tell whether a part is a file; a text with a name is one unless it stands where the body does."""
    if node.content_type not in _BODY_TYPES or disposition == "attachment":
        return True
    return name is not None and not _is_body(nodes, node)


def _is_body(nodes: Sequence[Node], node: Node) -> bool:
    """Tell whether a part is the first of its mail, or a choice of an alternative."""
    while node.parent >= 0:
        around = nodes[node.parent]
        if around.content_type == "multipart/alternative":
            return True
        if node.index != around.index + 1:
            return False
        node = around
    return True


def filename(node: Node, disposition: Mapping[str, str]) -> str | None:
    """Return the name of a part, from the parameters of its disposition or its type."""
    name = disposition.get("filename") or node.parameters.get("name") or ""
    name = " ".join(encodable(name).split())
    return _cut_filename(name) if name else None


def _cut_filename(name: str) -> str:
    """Cut in the middle so that the extension stays, and never inside a composed character."""
    if len(name) <= bounds.FILENAME_CHARACTERS:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 20:
        stem, dot, extension = name, "", ""
    length = bounds.FILENAME_CHARACTERS - len(dot + extension)
    while length > 1 and _continues(stem[length : length + 1], stem[length - 1]):
        length -= 1
    return stem[:length] + dot + extension


def _continues(char: str, before: str) -> bool:
    joined = char == "\u200d" or before == "\u200d"
    return bool(char) and (joined or unicodedata.category(char)[0] == "M")
