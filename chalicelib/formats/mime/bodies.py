"""The body of a mail as one page of HTML, and its first words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from chalicelib import bounds
from chalicelib.formats.mime.parts import encoding
from chalicelib.formats.mime.tree import Node
from chalicelib.formats.text import clipping, flowed, html, transfer
from chalicelib.formats.text.charset import decode

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


def body(raw: bytes, nodes: Sequence[Node], shown: Sequence[Node]) -> tuple[str, str]:
    """Return the page and its first words: all `shown` nodes in order, but one choice of each alternative."""
    texts = _Texts(raw)
    chosen = shown if len(shown) == 1 else _chosen(texts, nodes, shown)
    page, length = "", 0
    for place, node in enumerate(chosen):
        piece = _page(texts, node)
        both_rich = place and {node.content_type, chosen[place - 1].content_type} == {"text/html"}
        page += piece if both_rich or not place else "\n" + piece
        length += len(piece)
        if length > bounds.BODY_BYTES:
            break
    snippet = html.first_words(_snippet(texts, node) for node in chosen[: bounds.SNIPPET_PARTS])
    return clipping.clipped(page, more=any(texts.cut)), snippet


@dataclass(frozen=True, slots=True)
class _Texts:
    """The texts of a mail, each decoded once; `cut` tells that the end of one is missing."""

    raw: bytes
    read: dict[int, str] = field(default_factory=dict)
    cut: list[bool] = field(default_factory=list)

    def of(self, node: Node) -> str:
        """Return the text of a node, its line ends as line feeds."""
        if node.index not in self.read:
            self.read[node.index] = self._decoded(node)
        return self.read[node.index]

    def _decoded(self, node: Node) -> str:
        stop = min(node.end, node.start + bounds.TEXT_BYTES)
        data = transfer.decoded(self.raw[node.start : stop], encoding(node))
        charset = node.parameters.get("charset", "")
        if not charset and node.content_type == "text/html":
            meta = _META_CHARSET.search(data, 0, 2048)
            charset = meta[1].decode("ascii", "replace") if meta and not data.isascii() else ""
        text = decode(data, charset).replace("\r\n", "\n")
        self.cut.append(stop < node.end or len(text) > bounds.BODY_BYTES)
        if node.content_type == "text/plain" and node.parameters.get("format", "").lower() == "flowed":
            text = flowed.joined(text, delete_space=node.parameters.get("delsp", "").lower() == "yes")
        return text[: bounds.BODY_BYTES]


def _repeated(texts: _Texts, node: Node, after: Node) -> bool:
    """Tell whether a plain text comes again as HTML, though nobody declared an alternative."""
    if (node.content_type, after.content_type) != ("text/plain", "text/html"):
        return False
    return html.is_same_letter(texts.of(node), texts.of(after))


def _page(texts: _Texts, node: Node) -> str:
    text = texts.of(node)
    return text if node.content_type == "text/html" else html.html_of_text(text)


def _snippet(texts: _Texts, node: Node) -> str:
    text = texts.of(node)
    return html.snippet_of_html(text) if node.content_type == "text/html" else html.snippet_of_text(text)


def _chosen(texts: _Texts, nodes: Sequence[Node], shown: Sequence[Node]) -> list[Node]:
    """Return the nodes to show: no blank one, and of an alternative only the choices with HTML, if any."""
    dropped: set[int] = set()
    for _, choices in sorted(_alternatives(nodes, shown).items(), reverse=True):
        rich = [any(_is_rich(texts, leaf) for leaf in leaves) for leaves in choices.values()]
        if any(rich):
            plain = [leaves for leaves, has_html in zip(choices.values(), rich, strict=True) if not has_html]
            dropped.update(leaf.index for leaves in plain for leaf in leaves)
    left = [node for node in shown if node.index not in dropped and texts.of(node).strip()]
    twice = {
        node.index for node, after in pairwise(left[: bounds.SNIPPET_PARTS]) if _repeated(texts, node, after)
    }
    return [node for node in left if node.index not in twice]


def _alternatives(nodes: Sequence[Node], shown: Sequence[Node]) -> dict[int, dict[int, list[Node]]]:
    """Return the leaves of each choice of each multipart/alternative."""
    found: dict[int, dict[int, list[Node]]] = defaultdict(lambda: defaultdict(list))
    for leaf in shown:
        choice = leaf
        while choice.parent >= 0:
            around = nodes[choice.parent]
            if around.content_type == "multipart/alternative":
                found[around.index][choice.index].append(leaf)
            choice = around
    return found


def _is_rich(texts: _Texts, leaf: Node) -> bool:
    return leaf.content_type == "text/html" and bool(texts.of(leaf).strip())
