"""How far back mail is kept: days of history per account, with exceptions for single folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chalicelib.domain.mail.folder import Folder

NEVER = 0
"""As the end of something's life: it has none."""

PAST = 1
"""As the end of something's life: it is over."""

SLACK_DAYS = 2
"""Servers compare dates without zones, so mail stays a little longer than it is fetched."""

MOST_DAYS = 36_500
_DAY = 86_400

STAY_SECONDS = 86_400
"""How long mail that nothing but a search wanted stays here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Days of mail that are kept: 0 everything, None nothing; `exceptions` are by folder id or role."""

    days: int = 0
    exceptions: Mapping[str, int | None] = field(default_factory=dict)

    def fixed(self, folders: Iterable[Folder]) -> Retention:
        """Return the same window for just these folders, with real exceptions by id only."""
        found = {folder.id: _wanted(self.exceptions, folder, self.days) for folder in folders}
        return Retention(days=self.days, exceptions={id: n for id, n in found.items() if n != self.days})

    def days_of(self, folder_id: str) -> int | None:
        """Return the days of a folder; ask a window that is fixed."""
        return self.exceptions.get(folder_id, self.days)

    def excludes(self, folder_id: str) -> bool:
        """Tell whether nothing of a folder is wanted."""
        return self.days_of(folder_id) is None

    def since(self, folder_id: str, now: float) -> int:
        """Return the Unix second before which mail of a folder is left alone, 0 for none."""
        days = self.days_of(folder_id)
        return int(now) - days * _DAY if days else 0

    def expiry(self, date: int, folder_ids: Iterable[str]) -> int:
        """Return when mail of that date leaves by itself; of several folders the last one counts."""
        days = [self.days_of(id) for id in folder_ids] or [self.days]
        return latest(*(_expiry(date, one) for one in days))

    def longest(self, now: float) -> int:
        """Return when mail of this second leaves the folder that keeps it longest."""
        return latest(*(_expiry(int(now), days) for days in (self.days, *self.exceptions.values())))


def latest(*moments: int) -> int:
    """Return the last of several ends of life."""
    return NEVER if NEVER in moments else max(moments, default=PAST)


def is_over(moment: int, now: float) -> bool:
    """Tell whether an end of life has come."""
    return NEVER < moment <= now


def widest(one: Retention, other: Retention) -> Retention:
    """Return the window that holds whatever either does; both are fixed."""
    ids = one.exceptions.keys() | other.exceptions.keys()
    exceptions = {id: _wider(one.days_of(id), other.days_of(id)) for id in ids}
    days = _wider(one.days, other.days)
    return Retention(days=days or 0, exceptions=exceptions)


def _wanted(exceptions: Mapping[str, int | None], folder: Folder, days: int) -> int | None:
    for name in (folder.id, folder.role):
        if name is not None and name in exceptions:
            return exceptions[name]
    return days


def _wider(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return 0 if 0 in (one, other) else max(one, other)


def _expiry(date: int, days: int | None) -> int:
    if days is None:
        return PAST
    return date + (days + SLACK_DAYS) * _DAY if days else NEVER
