"""A raw mail as the API shows it. Never raises, whatever the bytes are."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from chalicelib import bounds
from chalicelib.domain.message import Address
from chalicelib.formats import headers, html, tree
from chalicelib.formats.addresses import addresses
from chalicelib.formats.charset import decode, encodable
from chalicelib.formats.message_ids import naming
from chalicelib.formats.transfer import decoded, decoded_size
from chalicelib.formats.tree import Node

MAX_FILENAME = 255
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_PEOPLE = ("to", "cc", "bcc", "reply_to")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMail:
    """What the API shows of a mail; Message-IDs keep their angle brackets."""

    subject: str
    sender: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    message_id: str | None
    in_reply_to: str | None
    references: tuple[str, ...]
    body_html: str
    snippet: str
    parts: tuple[ParsedPart, ...]


def parse(raw: bytes) -> ParsedMail:
    """Return what is readable of a mail."""
    raw = _with_line_feeds(raw)
    nodes = tree.walk(raw)
    leaves = [node for node in nodes if not node.container]
    parts = tuple(_part(raw, node) for node in leaves)
    body, snippet = _body(raw, [n for n, part in zip(leaves, parts, strict=True) if not part.listed])
    head = nodes[0].headers
    people = {name: addresses(head.get_all(name.replace("_", "-"))) for name in _PEOPLE}
    sender = tuple(dict.fromkeys(addresses(head.get_all("from"))))
    emails = {person.email.lower() for group in (sender, *people.values()) for person in group}
    named = naming(head, emails)
    return ParsedMail(
        subject=headers.text(head.get("subject"))[: bounds.SUBJECT_CHARACTERS],
        sender=sender,
        **people,
        message_id=named.message_id,
        in_reply_to=named.in_reply_to,
        references=named.references,
        body_html=body,
        snippet=snippet,
        parts=parts,
    )


def part_content(raw: bytes, part: int) -> tuple[str | None, str, bytes]:
    """Return filename, content type and decoded bytes of a part. Raises IndexError if there is none."""
    raw = _with_line_feeds(raw)
    nodes = tree.walk(raw)
    if not 0 <= part < len(nodes):
        raise IndexError(part)
    node = nodes[part]
    values = headers.parameters(node.headers.get("content-disposition"))[1]
    return _filename(node, values), node.content_type, decoded(raw[node.start : node.end], _encoding(node))


def _with_line_feeds(raw: bytes) -> bytes:
    """Old Macs end lines with a bare CR."""
    return raw.replace(b"\r", b"\n") if b"\r" in raw and b"\n" not in raw else raw


def _encoding(node: Node) -> str:
    value = node.headers.get("content-transfer-encoding")
    return value.partition(";")[0].strip(" \t\"'").lower() if value else ""


def _part(raw: bytes, node: Node) -> ParsedPart:
    disposition, values = headers.parameters(node.headers.get("content-disposition"))
    filename = _filename(node, values)
    content_id = (
        headers.text(node.headers.get("content-id")).strip("<> \t")[: bounds.MESSAGE_ID_CHARACTERS] or None
    )
    listed = _is_file(node, disposition, filename)
    if disposition not in ("attachment", "inline"):
        disposition = "inline" if content_id else "attachment"
    return ParsedPart(
        filename=filename,
        content_type=node.content_type,
        size=decoded_size(raw, node.start, node.end, _encoding(node)) if listed else node.end - node.start,
        disposition=disposition if listed else None,
        content_id=content_id,
        part=node.index,
        listed=listed,
    )


def _is_file(node: Node, disposition: str, filename: str | None) -> bool:
    if node.content_type not in _BODY_TYPES or disposition == "attachment":
        return True
    return filename is not None and node.index > 0


def _filename(node: Node, values: dict[str, str]) -> str | None:
    name = values.get("filename") or node.parameters.get("name") or ""
    name = " ".join(encodable(name).split())
    return _cut_filename(name) if name else None


def _cut_filename(name: str) -> str:
    """Cut in the middle so that the extension stays, and never inside a composed character."""
    if len(name) <= MAX_FILENAME:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 20:
        stem, dot, extension = name, "", ""
    length = MAX_FILENAME - len(dot + extension)
    while length > 1 and _continues(stem[length : length + 1], stem[length - 1]):
        length -= 1
    return stem[:length] + dot + extension


def _continues(char: str, before: str) -> bool:
    joined = char == "\u200d" or before == "\u200d"
    return bool(char) and (joined or unicodedata.category(char)[0] == "M")


def _body(raw: bytes, nodes: list[Node]) -> tuple[str, str]:
    """Return the HTML and the snippet: all HTML parts joined, else all plain ones made HTML."""
    pages = [_text(raw, node) for node in nodes if node.content_type == "text/html"]
    if any(page.strip() for page in pages):
        page = "".join(pages)
        return page, html.snippet_of_html(page)
    text = "\n".join(_text(raw, node) for node in nodes if node.content_type == "text/plain")
    return html.html_of_text(text), html.snippet_of_text(text)


def _text(raw: bytes, node: Node) -> str:
    data = decoded(raw[node.start : node.end], _encoding(node))
    charset = node.parameters.get("charset", "")
    if not charset and node.content_type == "text/html":
        meta = _META_CHARSET.search(data, 0, 2048)
        charset = meta[1].decode("ascii", "replace") if meta and not data.isascii() else ""
    return decode(data, charset).replace("\r\n", "\n")
