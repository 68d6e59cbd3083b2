"""HTML of any size as plain text, in one pass: nested elements make building a tree slow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

_TEXT = re.compile(r"(?:[^<]++|<(?![A-Za-z/!?]))++")
_TAG = re.compile(r"""<(/?[A-Za-z][^\s/>]*+)(?:[^=>]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+>""")
_COMMENT = re.compile(r"<!--(?:-?>|.*?--!?>)", re.DOTALL)
_NO_TAG = re.compile(r"<(?:[!?]|/[^A-Za-z])")
_INSTRUCTION = re.compile(r"<[^>]*+>")
_ENDS = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in ("script", "style", "title")}
_BLOCKS = frozenset("br p div tr li h1 h2 h3 h4 h5 h6 blockquote table hr".split())
_HIDDEN = frozenset({"head", "template"})
_NO_CHARACTER = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9A-Fa-f]{8,});?")
_BLANK_LINES = re.compile(r"\n{3,}")


def text_of(html: str) -> str:
    """Return HTML as plain text with a line for each block."""
    lines = [" ".join(line.split()) for line in "".join(_visible(html)).split("\n")]
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip() + "\n"


def _visible(html: str) -> Iterator[str]:
    hidden = 0
    for tag, text in _tokens(html):
        name = tag.removeprefix("/")
        if name in _HIDDEN:
            hidden = max(0, hidden + (1 if tag == name else -1))
        elif name == "body":  # ends a head that nothing else ends
            hidden = 0
        elif not hidden:
            yield "\n" if name in _BLOCKS else text


def _tokens(html: str) -> Iterator[tuple[str, str]]:
    """Return tags by their lower-case name and the texts between, as far as the last tag that ends."""
    at = 0
    while at < len(html):
        match = (_TEXT if html[at] != "<" else _markup(html, at)).match(html, at)
        match = match or _TEXT.match(html, at)
        if match is None:  # a tag, comment or instruction without an end takes the rest
            return
        tag = match[1].lower() if match.re is _TAG else ""
        text = match[0] if match.re is _TEXT else ""
        yield tag, unescape(_NO_CHARACTER.sub("\ufffd", text)).replace("\n", " ") if text else ""
        at = match.end()
        if tag in _ENDS and not match[0].endswith("/>"):
            end = _ENDS[tag].search(html, at)
            at = end.start() if end else len(html)


def _markup(html: str, at: int) -> re.Pattern[str]:
    if html.startswith("<!--", at):
        return _COMMENT
    return _INSTRUCTION if _NO_TAG.match(html, at) else _TAG
