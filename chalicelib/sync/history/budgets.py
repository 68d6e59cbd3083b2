"""The meter as an owner sees it: accounts, and the mail servers they are at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.sync.backfill import Backfill
from chalicelib.domain.sync.budget import AccountBudget, Budget, HostBudget
from chalicelib.store.ports.sync import Backfills
from chalicelib.store.values import HostUsage
from chalicelib.sync.history.meter import Quota


def read(
    meter: Quota, backfills: Backfills, accounts: Sequence[Account]
) -> tuple[list[AccountBudget], list[HostBudget]]:
    """Return the budgets of accounts, in their order, and of their mail servers, by name."""
    waiting = {entry.account_id: entry for entry in backfills.all()}
    used = meter.usage.accounts(account.id for account in accounts)
    hosts = sorted({account.host for account in accounts})
    found = meter.usage.hosts(hosts)
    of_accounts = [
        AccountBudget(
            account_id=account.id,
            host=account.host,
            budget=Budget(received=used.get(account.id, 0), limit=meter.allowances.of_account(account.host)),
            backfill=waiting.get(account.id),
        )
        for account in accounts
    ]
    return of_accounts, [_of_host(meter, host, found[host], waiting.values()) for host in hosts]


def _of_host(meter: Quota, host: str, usage: HostUsage, entries: Iterable[Backfill]) -> HostBudget:
    now = meter.now()
    slow = usage.slow_until > now
    return HostBudget(
        host=host,
        budget=Budget(received=usage.received, limit=meter.allowances.of_host(host)),
        running=sum(entry.host == host and entry.is_busy(now) for entry in entries),
        places=meter.allowances.backfills_of_host(slow=slow),
        slow_until=usage.slow_until if slow else 0,
    )
