"""How often an account is polled: the busier it was lately, the more often."""

from __future__ import annotations

from zlib import crc32

from chalicelib.store.ports import Poll

_MINUTE, _HOUR, _DAY, _WEEK = 60, 3_600, 86_400, 604_800

REPAIR_DELAY = 900
"""Seconds until a comparison that was asked for is made; a queue holds a message back no longer."""


def interval(poll: Poll, now: float) -> int:
    """Return the seconds between two polls of an account."""
    quiet = now - poll.active_at
    if quiet <= _HOUR:
        return _MINUTE
    return 5 * _MINUTE if quiet <= _DAY else 15 * _MINUTE


def is_repair_due(account_id: str, now: float) -> bool:
    """Tell whether this minute is the account's own of the week: then it is compared with its server."""
    minutes = _WEEK // _MINUTE
    return int(now) // _MINUTE % minutes == crc32(account_id.encode()) % minutes


def is_due(poll: Poll, now: float) -> bool:
    """Tell whether the tick of this minute polls the account.

    Each account has its own minute within the interval, so that no minute polls them all.
    """
    minutes = interval(poll, now) // _MINUTE
    return (int(now) // _MINUTE) % minutes == crc32(poll.account_id.encode()) % minutes
