"""A raw mail as the API shows it. Never raises, whatever the bytes are."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib import bounds
from chalicelib.domain.mail.message import Address
from chalicelib.formats.header import headers
from chalicelib.formats.header.addresses import addresses
from chalicelib.formats.header.message_ids import naming
from chalicelib.formats.header.parameters import parameters
from chalicelib.formats.mime import parts, tree
from chalicelib.formats.mime.bodies import body
from chalicelib.formats.mime.parts import ParsedPart
from chalicelib.formats.mime.tree import Node
from chalicelib.formats.text import transfer

_PEOPLE = ("to", "cc", "bcc", "reply_to")


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
    raw, nodes = _opened(raw)
    leaves = [node for node in nodes if not node.container]
    files = tuple(parts.part_of(raw, nodes, node) for node in leaves)
    shown = [node for node, file in zip(leaves, files, strict=True) if not file.listed]
    page, snippet = body(raw, nodes, shown)
    head = nodes[0].headers
    people = {name: addresses(head.folded(name.replace("_", "-"))) for name in _PEOPLE}
    sender = tuple(dict.fromkeys(addresses(head.folded("from"))))
    emails = {person.email.lower() for group in (sender, *people.values()) for person in group}
    named = naming(head, emails)
    return ParsedMail(
        subject=headers.text(head.get("subject"))[: bounds.SUBJECT_CHARACTERS],
        sender=sender,
        **people,
        message_id=named.message_id,
        in_reply_to=named.in_reply_to,
        references=named.references,
        body_html=page,
        snippet=snippet,
        parts=files,
    )


def part_content(raw: bytes, part: int) -> tuple[str | None, str, bytes]:
    """Return filename, content type and decoded bytes of a part. Raises IndexError if there is none."""
    raw, nodes = _opened(raw)
    if not 0 <= part < len(nodes):
        raise IndexError(part)
    node = nodes[part]
    values = parameters(node.headers.get("content-disposition"))[1]
    content = transfer.decoded(raw[node.start : node.end], parts.encoding(node))
    return parts.filename(node, values), node.content_type, content


def _opened(raw: bytes) -> tuple[bytes, list[Node]]:
    """Return a mail and its parts; one that is encoded as a whole is decoded first.

    RFC 2045 section 6.4 forbids that for a multipart; some senders do it.
    """
    raw = _with_line_feeds(raw)
    nodes = tree.walk(raw)
    root, encoding = nodes[0], parts.encoding(nodes[0])
    if not encoding or root.container or "boundary" not in root.parameters:
        return raw, nodes
    decoded = raw[: root.start] + transfer.decoded(raw[root.start :], encoding)
    inside = tree.walk(decoded)
    return (decoded, inside) if inside[0].container else (raw, nodes)


def _with_line_feeds(raw: bytes) -> bytes:
    """Old Macs end lines with a bare CR."""
    return raw.replace(b"\r", b"\n") if b"\r" in raw and b"\n" not in raw else raw
