"""What is used of a day's bytes, and what that means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.sync.allowance import HISTORY_PERCENT, is_used_up

if TYPE_CHECKING:
    from chalicelib.domain.sync.backfill import Backfill


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Bytes received today and the limit, 0 for none."""

    received: int
    limit: int

    @property
    def state(self) -> str:
        """Tell who may still fetch: `open` (all), `history_paused` (new mail only) or `used_up`."""
        if is_used_up(self.received, self.limit):
            return "used_up"
        return "history_paused" if is_used_up(self.received, self.limit, HISTORY_PERCENT) else "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBudget:
    """An account's budget, and its history if it is not complete."""

    account_id: str
    host: str
    budget: Budget
    backfill: Backfill | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostBudget:
    """A mail server's budget, its turns of history, and until when (Unix seconds) it wants patience."""

    host: str
    budget: Budget
    running: int
    places: int
    slow_until: int
