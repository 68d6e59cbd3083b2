"""Content-Transfer-Encoding: decoding that takes what it can get, and sizes without decoding."""

from __future__ import annotations

import binascii
import re

_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_UU_NAMES = frozenset({"x-uuencode", "uuencode", "x-uue", "uue"})


def decoded(data: bytes, encoding: str) -> bytes:
    """Return the bytes of a part's body; an unknown or broken encoding gives what is readable."""
    if encoding == "base64":
        return base64_bytes(data)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(data)
    if encoding in _UU_NAMES:
        return _uu_bytes(data)
    return data


def decoded_size(raw: bytes, start: int, end: int, encoding: str) -> int:
    """Return how many bytes raw[start:end] decodes to; base64 is counted, not decoded."""
    if encoding == "base64":
        padding = raw.find(b"=", start, end)
        stop = end if padding < 0 else padding
        blanks = sum(raw.count(blank, start, stop) for blank in (b"\n", b"\r", b" ", b"\t"))
        return (stop - start - blanks) * 3 // 4
    if encoding == "quoted-printable" or encoding in _UU_NAMES:
        return len(decoded(raw[start:end], encoding))
    return end - start


def base64_bytes(data: bytes) -> bytes:
    """Decode base64, ignoring foreign characters, lost padding and whatever follows the padding."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        letters = _NO_BASE64.sub(b"", data.partition(b"=")[0])
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def _uu_bytes(data: bytes) -> bytes:
    lines = data.splitlines()
    begin = next((n for n, line in enumerate(lines) if line.startswith(b"begin ")), -1)
    result = []
    for line in lines[begin + 1 :]:
        if line.strip() in (b"end", b"`"):
            break
        result.append(_uu_line(line))
    return b"".join(result)


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:  # some encoders count the padding too
        length = ((line[0] - 32) & 63) * 4 // 3 + 2 if line else 0
    try:
        return binascii.a2b_uu(line[:length])
    except binascii.Error:
        return b""
