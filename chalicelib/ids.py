"""Public ids: 25 lower-case base-36 characters, derived where a replay must find the same object.

A dated id is 8 characters of Unix seconds followed by 17 of a keyed hash, so that id order is date
order and the month partition of an object can be computed from its id.
"""

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime
from functools import lru_cache

LENGTH = 25
_DATE_LENGTH = 8
_DAY = 86_400
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [one + other for one in _ALPHABET for other in _ALPHABET]
_BASE36 = re.compile(r"[0-9a-z]{1,25}")
LAST_SECOND = 253402300799  # 9999-12-31T23:59:59Z


def base36(number: int, width: int) -> str:
    """Return the `width` lowest base-36 digits of a non-negative number, padded with zeros."""
    digits = []
    for _ in range((width + 1) // 2):
        number, pair = divmod(number, 36 * 36)
        digits.append(_PAIRS[pair])
    return "".join(reversed(digits))[-width:]


def random_id() -> str:
    """Return an id nobody can guess."""
    return base36(secrets.randbits(136), LENGTH)


def derived_id(*parts: str) -> str:
    """Return the same id for the same parts, always."""
    return base36(_digest(parts), LENGTH)


def dated_id(seconds: int, *parts: str) -> str:
    """Return an id that sorts by `seconds` (Unix time, clipped to years 1970 to 9999)."""
    return date_prefix(seconds) + base36(_digest(parts), LENGTH - _DATE_LENGTH)


def date_prefix(seconds: int) -> str:
    """Return the first eight characters of every dated id of that second."""
    return base36(min(max(seconds, 0), LAST_SECOND), _DATE_LENGTH)


def date_of(id: str) -> int:
    """Return the Unix seconds inside a dated id."""
    return min(int(id[:_DATE_LENGTH], 36), LAST_SECOND)


def month_of(seconds: int) -> str:
    """Return the month partition of a moment as yyyymm, in UTC."""
    return _month_of_day(min(max(seconds, 0), LAST_SECOND) // _DAY)


@lru_cache(maxsize=4096)
def _month_of_day(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY, UTC).strftime("%Y%m")


def is_id(text: str) -> bool:
    """Tell whether a text could be a public id at all."""
    return _BASE36.fullmatch(text) is not None


def _digest(parts: tuple[str, ...]) -> int:
    joined = "\0".join(parts).encode("utf-8", "surrogateescape")
    key = parts[0].encode("utf-8", "surrogateescape")
    return int.from_bytes(hmac.digest(key, joined, hashlib.sha256)[:17], "big")
