"""What a mail says, as far as it is here, in a few characters: copies agree, namesakes do not.

The head and the text are told apart, because large mail is here with its beginning first. Lines that mail
programs keep in the head and change as they like do not count.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode

_HEAD = re.compile(rb"(?:.*?\n)??\r?\n|.*", re.S)
_CHANGING = re.compile(
    rb"^(?:(?:X-)?Status|X-UID|X-Keywords|X-IMAPbase|X-Mozilla-[\w-]+):.*\n(?:[ \t].*\n)*", re.I | re.M
)
_OCTETS = 8
_APART = "."


def fingerprint(raw: bytes, *, whole: bool) -> str:
    """Return what stands for a mail: its head and, if all of it is here, its text."""
    found = _HEAD.match(raw)
    end = found.end() if found else 0
    head = _CHANGING.sub(b"", raw[:end])
    return _hash(head) + _APART + (_hash(raw[end:]) if whole else "")


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
