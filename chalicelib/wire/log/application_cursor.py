"""Cursors of the application-wide feed: the place in each account's log, packed into one opaque text.

Behind a tag of the application and a turn stand six bytes of a hash per account and its sequence number;
a thousand accounts make about 12 kB, which a client sends in the body of a POST.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from chalicelib.errors import InvalidRequest

_TAG, _ACCOUNT = 4, 6
_LARGEST = 1_000_000
_MOST_BITS = 63


@dataclass(frozen=True, slots=True)
class Places:
    """Sequence numbers by account, and whose turn it is to be read first."""

    seqs: Mapping[bytes, int] = field(default_factory=dict)
    turn: int = 0

    def of(self, account_id: str) -> int:
        """Return the last entry told of an account, 0 for one that was not there yet."""
        return self.seqs.get(_hash(account_id, _ACCOUNT), 0)

    def moved(self, seqs: Mapping[str, int], turn: int) -> Places:
        """Return the places with some accounts moved."""
        return Places({**self.seqs, **{_hash(id, _ACCOUNT): seq for id, seq in seqs.items()}}, turn)


def encode(application_id: str, places: Places) -> str:
    """Return the cursor."""
    told = b"".join(tag + _number(seq) for tag, seq in sorted(places.seqs.items()) if seq)
    packed = _hash(application_id, _TAG) + _number(places.turn) + told
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(application_id: str, text: str) -> Places:
    """Return the places. Raises InvalidRequest for another application's or a made-up cursor."""
    if len(text) > _LARGEST:
        raise InvalidRequest("Invalid cursor")
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return _unpacked(application_id, packed)
    except (binascii.Error, ValueError, IndexError) as error:
        raise InvalidRequest(f"Invalid cursor: {text[:100]}") from error


def _unpacked(application_id: str, packed: bytes) -> Places:
    if packed[:_TAG] != _hash(application_id, _TAG):
        raise ValueError("not of this application")
    turn, at = _read(packed, _TAG)
    seqs: dict[bytes, int] = {}
    while at < len(packed):
        seq, behind = _read(packed, at + _ACCOUNT)
        seqs[packed[at : at + _ACCOUNT]], at = seq, behind
    return Places(seqs, turn)


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _read(packed: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while shift < _MOST_BITS:
        byte, at = packed[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a number is too long")


def _hash(id: str, length: int) -> bytes:
    return sha256(id.encode()).digest()[:length]
