"""What mail servers allow, and how history is kept within it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ANY = "*"
MEGABYTE = 1_000_000
HISTORY_PERCENT = 80
"""History stops here; the rest of the day's bytes is for new mail."""

_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowances:
    """Megabytes per UTC day by host ("*": any other; 0: no bound), and backfills at once."""

    account_megabytes: Mapping[str, int]
    host_megabytes: Mapping[str, int]
    backfills_per_host: int
    backfills_per_application: int

    def of_account(self, host: str) -> int:
        """Return the bytes an account of this host may read in a day, 0 for no bound."""
        return _bytes(self.account_megabytes, host)

    def of_host(self, host: str) -> int:
        """Return the bytes that may be read from a host in a day, 0 for no bound."""
        return _bytes(self.host_megabytes, host)

    def backfills_of_host(self, *, slow: bool) -> int:
        """Return how many backfills may run on a host, fewer while it wants patience."""
        return max(1, self.backfills_per_host // 4) if slow else self.backfills_per_host


def is_used_up(received: int, limit: int, percent: int = 100) -> bool:
    """Tell whether so many percent of a limit are used; never if there is none."""
    return limit > 0 and received * 100 >= limit * percent


def next_day(now: float) -> int:
    """Return the Unix second at which counting begins anew."""
    return (int(now) // _DAY + 1) * _DAY


def _bytes(megabytes: Mapping[str, int], host: str) -> int:
    return megabytes.get(host, megabytes.get(ANY, 0)) * MEGABYTE
