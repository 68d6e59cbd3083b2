"""The history window in requests and answers: `history_days` and `folder_history_days`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from chalicelib import bounds
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.domain.mail.retention import MOST_DAYS
from chalicelib.errors import InvalidRequest
from chalicelib.wire import body as read

NOTHING = "none"
DAYS, FOLDER_DAYS = "history_days", "folder_history_days"
KEYS = frozenset({DAYS, FOLDER_DAYS})


def dump(account: Account) -> dict[str, Any]:
    """Return an account's window: null means as the application has it, "none" that nothing is kept."""
    exceptions = {name: NOTHING if days is None else days for name, days in account.folder_days.items()}
    return {DAYS: account.history_days, FOLDER_DAYS: exceptions}


def days(request: read.Body, key: str, default: int | None) -> int | None:
    """Return a number of days, None if null, the default if absent. Raises InvalidRequest."""
    if key not in request:
        return default
    value = request[key]
    return None if value is None else _number(value, key)


def load_change(request: read.Body, names: Collection[str]) -> RetentionWish:
    """Return what a request changes; `names` are the folder ids and roles. Raises InvalidRequest."""
    exceptions: dict[str, int | None] = {}
    dropped = set()
    for name, value in _folders(request).items():
        if name not in names:
            what = "neither a role nor the id of a folder that is synced"
            raise InvalidRequest(f"{FOLDER_DAYS}: {name[:100]} is {what}")
        if value is None:
            dropped.add(name)
        else:
            exceptions[name] = None if value == NOTHING else _number(value, f"{FOLDER_DAYS}: {name[:100]}")
    return RetentionWish(
        sets_days=DAYS in request,
        days=days(request, DAYS, None),
        exceptions=exceptions,
        dropped=frozenset(dropped),
    )


def _folders(request: read.Body) -> dict[str, Any]:
    value = request.get(FOLDER_DAYS)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"{FOLDER_DAYS} must be an object")
    if len(value) > bounds.WINDOW_FOLDERS:
        raise InvalidRequest(f"{FOLDER_DAYS} may name at most {bounds.WINDOW_FOLDERS} folders")
    return value


def _number(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_DAYS:
        or_none = f' or "{NOTHING}"' if name.startswith(FOLDER_DAYS) else ""
        raise InvalidRequest(f"{name} must be a whole number of days, 0 (everything) to {MOST_DAYS}{or_none}")
    return value
