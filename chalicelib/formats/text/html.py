"""Message bodies: plain text to HTML, and HTML to the short text of a list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from html import escape

from selectolax.lexbor import LexborHTMLParser

from chalicelib import bounds

_LOOK_AT = (1_000, 3_000, bounds.SNIPPET_SOURCE_CHARACTERS)
"""Characters looked at for a snippet: most mails say enough at once."""

_FARTHEST = 20 * bounds.SNIPPET_SOURCE_CHARACTERS
_LAST, _LAST_OF_PAGE = 60, 3_000
"""Characters looked at to tell whether two texts end alike."""

_BODY = re.compile(r"<body\b", re.IGNORECASE)
_CUT = re.compile(r"</?\Z")
_BREAK = re.compile(
    r"<(?=br\b|hr\b|/?(?:p|div|td|th|tr|li|ul|ol|dd|dt|h[1-6]|table|blockquote|pre|section|article)\b)",
    re.IGNORECASE,
)
_UNREAD = re.compile(
    r"<!--(?:-?>|.*?(?:-->|\Z))|<(title|script|style)\b.*?(?:</\1\b[^<>]*>?|\Z)|<(?:\?|!(?!--))[^<>]*>?",
    re.IGNORECASE | re.DOTALL,
)
_LONG_VALUE = re.compile(r"""=\s?(?:"[^"<>]{100,}+"|'[^'<>]{100,}+')""")
_UNSEEN = re.compile("[\u00ad\u034f\u200b\ufeff]+")
_URL = re.compile(r"(?:https?|ftp)://[^\s<>\"'\x00-\x1f]+", re.IGNORECASE)
_AFTER_URL = ".,;:!?)]}*"


def snippet_of_text(text: str) -> str:
    """Return the first words of a plain text, on one line, at most 191 characters."""
    return _first_words(text, str)


def snippet_of_html(html: str) -> str:
    """Return the first words a reader sees, on one line, at most 191 characters."""
    body = _BODY.search(html)
    page = html[body.start() if body else 0 :][:_FARTHEST]
    words = _first_words(page, _visible_text)
    if words or len(page) <= bounds.SNIPPET_SOURCE_CHARACTERS:
        return words
    return _first_words(_LONG_VALUE.sub('=""', _UNREAD.sub("<!---->", page)), _visible_text)


def first_words(snippets: Iterable[str]) -> str:
    """Return the snippet of a message whose parts have these."""
    words = ""
    for snippet in snippets:
        words = f"{words} {snippet}".strip()
        if len(words) >= bounds.SNIPPET_CHARACTERS:
            break
    return words[: bounds.SNIPPET_CHARACTERS].rstrip()


def is_same_letter(text: str, html: str) -> bool:
    """Tell whether a page begins and ends with the words of a plain text."""
    first = snippet_of_text(text)
    if not first or first != snippet_of_html(html):
        return False
    last = _words(text[-_LAST:]), _words(_visible_text(html[-_LAST_OF_PAGE:]))
    return len(first) < bounds.SNIPPET_CHARACTERS or last[1].endswith(last[0])


def _first_words(source: str, read: Callable[[str], str]) -> str:
    words = ""
    for length in _LOOK_AT:
        words = _words(read(source[:length]))
        if len(words) >= bounds.SNIPPET_CHARACTERS or length >= len(source):
            break
    return words[: bounds.SNIPPET_CHARACTERS].rstrip()


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
    if "://" in text or "\t" in text or "\n " in text or text[:1] == " ":
        return "<br>\n".join(_line(line) for line in text.split("\n"))
    return escape(text, quote=False).replace("\n", "<br>\n")


def _line(line: str) -> str:
    line = line.expandtabs(8) if "\t" in line else line
    words = line.lstrip(" ")
    return "&nbsp;" * min(len(line) - len(words), bounds.INDENT_COLUMNS) + _linked(words)


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
