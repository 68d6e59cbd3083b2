"""What a mail says, as far as it is here, in a few characters: copies agree, namesakes do not.

The head and the text are told apart, because large mail is here with its beginning first. Lines that mail
programs keep in the head and change as they like do not count.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode

_CHANGING = re.compile(
    rb"^(?:(?:X-)?Status|X-UID|X-Keywords|X-IMAPbase|X-Mozilla-[\w-]+):.*\n(?:[ \t].*\n)*", re.I | re.M
)
_OCTETS = 8
_APART = "."


def fingerprint(raw: bytes, *, whole: bool) -> str:
    """Return what stands for a mail: its head and, if all of it is here, its text."""
    end = _end_of_head(raw)
    head = _CHANGING.sub(b"", raw[:end])
    return _hash(head) + _APART + (_hash(raw[end:]) if whole else "")


def _end_of_head(raw: bytes) -> int:
    """Return where the text begins: after the first empty line, or nowhere."""
    if raw.startswith((b"\n", b"\r\n")):
        return raw.index(b"\n") + 1
    end = raw.find(b"\n\r\n")
    bare = raw.find(b"\n\n", 0, end + 1 if end >= 0 else len(raw))
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else len(raw)


def head_of(print_: str) -> str:
    """Return the part that stands for the head."""
    return print_.partition(_APART)[0]


def agree(one: str, other: str) -> bool | None:
    """Tell whether both stand for the same mail; None if one has too little to tell."""
    (head, _, text), (head_too, _, text_too) = one.partition(_APART), other.partition(_APART)
    if head != head_too:
        return False
    return text == text_too if text and text_too else None


def _hash(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.blake2b(data, digest_size=_OCTETS).digest()).rstrip(b"=").decode()
