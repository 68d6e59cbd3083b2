"""The headers of a mail and their texts: encoded words (RFC 2047) and bare 8-bit characters."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence

from chalicelib import bounds
from chalicelib.formats.text.charset import decode
from chalicelib.formats.text.transfer import base64_bytes

_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Headers:
    """The headers of a mail or of one of its parts; names in any case."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Take names and values; a line feed in a value is where it was folded."""
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def get(self, name: str) -> str:
        """Return the first header of that (lower-case) name, still encoded; empty if there is none."""
        return self._values.get(name, [""])[0].replace("\n", " ")

    def get_all(self, name: str) -> list[str]:
        """Return every header of that (lower-case) name, still encoded."""
        return [value.replace("\n", " ") for value in self._values.get(name, [])]

    def folded(self, name: str) -> list[str]:
        """Return every header of that (lower-case) name, still encoded, with a line feed at each fold."""
        return self._values.get(name, [])


def text(value: str) -> str:
    """Return the readable text of a raw header value, on one line."""
    if not value:
        return value
    value = value[: bounds.HEADER_CHARACTERS]
    value = _decoded_words(value) if "=?" in value else repaired(value)
    return _CONTROL.sub(_blank, value).strip()


def one_line(value: str) -> str:
    """Return a text with its control characters, line ends among them, as blanks."""
    return _CONTROL.sub(_blank, value)


def _blank(match: re.Match[str]) -> str:
    return " " if match[0].strip("\0") else ""


def repaired(value: str) -> str:
    """Return a header that was sent as bare 8-bit text in its likely charset."""
    if value.isascii() and "\x1b" not in value:
        return value
    return decode(value.encode("utf-8", "surrogateescape"), None)


def _decoded_words(value: str) -> str:
    """Decode encoded words; adjacent ones of one charset as one, for they may split a character."""
    done: list[str] = []
    pending: list[bytes] = []
    charset, position = "", 0
    while (word := _WORD.search(value, position)) and (end := value.find("?=", word.end())) >= 0:
        between = value[position : word.start()]
        same = word[1].lower() == charset and not between.strip()
        if pending and not same:
            done.append(decode(b"".join(pending), charset))
            pending.clear()
        if between.strip() or (between and not position):
            done.append(repaired(between))
        pending.append(_word_bytes(word[2], value[word.end() : end]))
        charset, position = word[1].lower(), end + 2
    done.append(decode(b"".join(pending), charset))
    done.append(repaired(value[position:]))
    return "".join(done)


def _word_bytes(encoding: str, payload: str) -> bytes:
    data = payload.encode("utf-8", "surrogateescape")
    if encoding in "bB":
        return base64_bytes(data)
    return binascii.a2b_qp(data, header=True)
