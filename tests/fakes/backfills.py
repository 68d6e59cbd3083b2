"""Those who wait for their history, and what mail servers have given, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from chalicelib.domain.sync.allowance import Allowances
from chalicelib.domain.sync.backfill import Backfill
from chalicelib.store.values import HostUsage


def allowances(account: int = 0, host: int = 0, per_host: int = 8, per_application: int = 16) -> Allowances:
    """Megabytes of any host, and how many at once."""
    return Allowances(
        account_megabytes={"*": account},
        host_megabytes={"*": host},
        backfills_per_host=per_host,
        backfills_per_application=per_application,
    )


@dataclass
class MemoryBackfills:
    """The port Backfills."""

    rows: dict[str, Backfill] = field(default_factory=dict)

    def enter(self, backfill: Backfill) -> bool:
        return self.rows.setdefault(backfill.account_id, backfill) is backfill

    def get(self, account_id: str) -> Backfill | None:
        return self.rows.get(account_id)

    def all(self) -> list[Backfill]:
        return list(self.rows.values())

    def put(self, backfill: Backfill) -> None:
        if backfill.account_id in self.rows:
            self.rows[backfill.account_id] = backfill

    def remove(self, account_id: str) -> None:
        self.rows.pop(account_id, None)


@dataclass
class MemoryUsage:
    """The port Usage of one day; `asked` counts looks at it."""

    by_account: Counter[str] = field(default_factory=Counter)
    by_host: Counter[str] = field(default_factory=Counter)
    slow: dict[str, int] = field(default_factory=dict)
    asked: int = 0

    def add(self, account_id: str, host: str, received: int) -> None:
        self.by_account[account_id] += received
        self.by_host[host] += received

    def accounts(self, account_ids: Iterable[str]) -> dict[str, int]:
        self.asked += 1
        return {id: self.by_account[id] for id in account_ids if self.by_account[id]}

    def hosts(self, hosts: Iterable[str]) -> dict[str, HostUsage]:
        self.asked += 1
        return {
            host: HostUsage(received=self.by_host[host], slow_until=self.slow.get(host, 0)) for host in hosts
        }

    def slow_down(self, host: str, until: int) -> None:
        self.slow[host] = until
