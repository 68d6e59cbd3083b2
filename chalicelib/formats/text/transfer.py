"""Content-Transfer-Encoding: decoding that takes what it can get, and sizes without decoding."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Final, Literal

from chalicelib import bounds

Encoding = Literal["base64", "quoted-printable", "uu", ""]

_NAMES: Final[dict[str, Encoding]] = {
    "base64": "base64",
    "xbase64": "base64",
    "quotedprintable": "quoted-printable",
    "uuencode": "uu",
    "xuuencode": "uu",
    "uue": "uu",
    "xuue": "uu",
}
_LONGEST_NAME = 100
_COMMENT = re.compile(r"\([^()]*\)")
_NO_LETTER = re.compile(r"[^a-z0-9]+")
_FIRST = re.compile(r"[a-z0-9]+(?:[-_ ]+[a-z0-9]+)*")
_NO_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_UU_BEGIN = re.compile(rb"^begin [^\n]*\n", re.MULTILINE)
_UU_LINE = re.compile(rb"^(?:[!-M][ -`]+|(end|`)[ \t]*)(?=\r?$)", re.MULTILINE)


def named(value: str) -> Encoding:
    """Return the encoding that a header means; one that changes nothing, or that nobody knows, is empty."""
    return _named(value[:_LONGEST_NAME].lower()) if value else ""


@lru_cache(128)
def _named(value: str) -> Encoding:
    found = _FIRST.search(_COMMENT.sub(" ", value))
    name = _NO_LETTER.sub("", found[0]) if found else ""
    return next((encoding for known, encoding in _NAMES.items() if name.startswith(known)), "")


def decoded(data: bytes, encoding: Encoding) -> bytes:
    """Return the bytes of a part's body; a broken encoding gives what is readable."""
    if encoding == "base64":
        return base64_bytes(data)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(data)
    return b"".join(map(_uu_line, _uu_lines(data))) if encoding == "uu" else data


def decoded_size(raw: bytes, start: int, end: int, encoding: Encoding) -> int:
    """Return how many bytes raw[start:end] decodes to; base64 is counted, not decoded."""
    if encoding == "base64":
        padding = raw.find(b"=", start, end)
        stop = end if padding < 0 else padding
        blanks = sum(raw.count(blank, start, stop) for blank in (b"\n", b"\r", b" ", b"\t"))
        return (stop - start - blanks) * 3 // 4
    if encoding == "quoted-printable":
        return len(binascii.a2b_qp(memoryview(raw)[start:end]))
    return sum(map(_uu_length, _uu_lines(raw[start:end]))) if encoding == "uu" else end - start


def base64_bytes(data: bytes) -> bytes:
    """Decode base64, ignoring foreign characters, lost padding and whatever follows the padding."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        letters = data.partition(b"=")[0].translate(None, _NO_BASE64)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def _uu_lines(data: bytes) -> Iterator[bytes]:
    begin = _UU_BEGIN.search(data)
    for line in islice(_UU_LINE.finditer(data, begin.end() if begin else 0), bounds.UU_LINES):
        if line[1]:
            return
        yield line[0]


def _uu_length(line: bytes) -> int:
    """Return how many bytes a line says it holds; what is missing of them is zeros."""
    return (line[0] - 32) & 63


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:  # some encoders count the padding too
        return binascii.a2b_uu(line[: (_uu_length(line) * 8 + 5) // 6 + 1])
