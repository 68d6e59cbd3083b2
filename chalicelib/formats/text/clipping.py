"""Bodies as long as the API carries them: the rest is cut off, and the reader is told."""

from __future__ import annotations

import re

from chalicelib import bounds

MARK = "<p>[The rest of this message is too long to be shown here. The original has all of it.]</p>"
_WORST = 6
"""Bytes that one byte of a text may take in JSON."""

_CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))
_OPAQUE = re.compile(
    r"<!--(?:-?>|.*?(-->|\Z))|<(title|textarea|script|style|xmp|iframe|noembed|noframes)\b.*?(</\2\b|\Z)",
    re.IGNORECASE | re.DOTALL,
)


def clipped(html: str, *, more: bool = False) -> str:
    """Return the page, cut to `bounds.BODY_BYTES` of UTF-8 with a mark at its end.

    `more` says that something is missing already.
    """
    if len(html) * _WORST <= bounds.BODY_BYTES and not more:
        return html
    data = html.encode().translate(None, _CONTROL)
    if len(data) <= bounds.BODY_BYTES and not more:
        return data.decode()
    return _readable_until_its_end(data[: bounds.BODY_BYTES].decode(errors="ignore")) + MARK


def _readable_until_its_end(html: str) -> str:
    """Return a cut page without the tag, comment, style or script in which it was cut."""
    for opaque in _OPAQUE.finditer(html):
        if opaque.end() == len(html) and not (opaque[1] or opaque[3]):
            return html[: opaque.start()]
    tag = html.rfind("<")
    return html[:tag] if tag > html.rfind(">") else html
