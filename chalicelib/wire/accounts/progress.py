"""The progress of a sync as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.domain.sync.progress import Part, Progress, percent, seconds_left
from chalicelib.wire.accounts.window import NOTHING

if TYPE_CHECKING:
    from chalicelib.domain.accounts.account import Account

_UNKNOWN = {"synced": 0, "expected": None, "percent": None, "rate": 0.0, "seconds_left": None}


def dump(account: Account, progress: Progress) -> dict[str, Any]:
    """Return the progress of an account, overall and by folder."""
    tallies = progress.tallies
    left = sum(tally.left for tally in tallies)
    rate = sum(tally.speed(progress.now) for tally in tallies)
    overall = _figures(sum(tally.synced for tally in tallies), left, rate)
    if not progress.is_counted:
        overall |= {"expected": None, "percent": None, "seconds_left": None}
    return {
        "object": "progress",
        "account_id": account.id,
        "sync_state": account.state.value,
        "state": progress.state,
        **overall,
        "folders": [_folder(part, progress.now) for part in progress.parts],
    }


def _folder(part: Part, now: float) -> dict[str, Any]:
    tally = part.tally if part.days is not None else None
    figures = _figures(tally.synced, tally.left, tally.speed(now)) if tally else _UNKNOWN
    return {
        "id": part.folder.id,
        "name": part.folder.role,
        "display_name": part.folder.display_name,
        "history_days": NOTHING if part.days is None else part.days,
        "state": part.state,
        **figures,
    }


def _figures(synced: int, left: int, rate: float) -> dict[str, Any]:
    return {
        "synced": synced,
        "expected": synced + left,
        "percent": percent(synced, left),
        "rate": round(rate, 1),
        "seconds_left": seconds_left(left, rate),
    }
