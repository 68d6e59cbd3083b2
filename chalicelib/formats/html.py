"""Message bodies: plain text to HTML, and HTML to the short text of a list."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from selectolax.lexbor import LexborHTMLParser

SNIPPET_LENGTH = 191
_LOOK_AT = (1_000, 3_000, 20_000, 400_000)
"""Characters looked at for a snippet: most mails say enough at once."""

_FAR = 20_000
"""Having looked so far, few words will do."""

_BODY = re.compile(r"<body\b", re.IGNORECASE)
_CUT = re.compile(r"</?\Z")
_BREAK = re.compile(
    r"<(?=br\b|hr\b|/?(?:p|div|td|th|tr|li|ul|ol|dd|dt|h[1-6]|table|blockquote|pre|section|article)\b)",
    re.IGNORECASE,
)
_UNSEEN = re.compile("[\u00ad\u034f\u200b\ufeff]+")
_URL = re.compile(r"(?:https?|ftp)://[^\s<>\"'\x00-\x1f]+", re.IGNORECASE)
_AFTER_URL = ".,;:!?)]}*"


def snippet_of_text(text: str) -> str:
    """Return the first words of a plain text, on one line, at most 191 characters."""
    return _first_words(text, str)


def snippet_of_html(html: str) -> str:
    """Return the first words a reader sees, on one line, at most 191 characters."""
    body = _BODY.search(html)
    return _first_words(html[body.start() :] if body else html, _visible_text)


def _first_words(source: str, read: Callable[[str], str]) -> str:
    words = ""
    for length in _LOOK_AT:
        words = _words(read(source[:length]))
        if len(words) >= SNIPPET_LENGTH or length >= len(source) or (words and length >= _FAR):
            break
    return words[:SNIPPET_LENGTH].rstrip()


def _words(text: str) -> str:
    return " ".join((text if text.isascii() else _UNSEEN.sub("", text)).split())


def _visible_text(html: str) -> str:
    """Return what a reader sees of a page, which may have been cut anywhere."""
    tree = LexborHTMLParser(_BREAK.sub(" <", _CUT.sub("", html)))
    tree.strip_tags(["title", "script", "style", "template"])
    root = tree.root
    return root.text(deep=True, separator="") if root is not None else ""


def html_of_text(text: str) -> str:
    """Return plain text as HTML: paragraphs, line breaks, kept indentation and links."""
    if not text.strip():
        return ""
    paragraphs = re.split(r"\n(?:[ \t]*\n)+", text.replace("\r\n", "\n").strip("\n"))
    return "\n".join(f"<p>{_paragraph(paragraph)}</p>" for paragraph in paragraphs)


def _paragraph(text: str) -> str:
    return "<br>\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    words = line.expandtabs(8).lstrip(" ")
    indent = len(line.expandtabs(8)) - len(words)
    return "&nbsp;" * indent + _linked(words)


def _linked(text: str) -> str:
    if "://" not in text:
        return escape(text, quote=False)
    done, position = [], 0
    for match in _URL.finditer(text):
        url = match[0].rstrip(_AFTER_URL)
        done.append(escape(text[position : match.start()], quote=False))
        done.append(f'<a href="{escape(url)}">{escape(url, quote=False)}</a>')
        position = match.start() + len(url)
    return "".join(done) + escape(text[position:], quote=False)
