"""What an application wants of the history that is kept of an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from chalicelib.domain.accounts.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionWish:
    """What shall become of an account's window; what is not named stays.

    `days` counts if `sets_days` (None: as the application has it). `exceptions` are set, `dropped` removed.
    """

    sets_days: bool = False
    days: int | None = None
    exceptions: Mapping[str, int | None] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()

    def applied(self, account: Account) -> Account:
        """Return the account with the change made."""
        kept = {name: days for name, days in account.folder_days.items() if name not in self.dropped}
        return replace(
            account,
            history_days=self.days if self.sets_days else account.history_days,
            folder_days={**kept, **self.exceptions},
        )
