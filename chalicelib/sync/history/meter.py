"""Bytes read from mail servers, held against what a day allows."""

from __future__ import annotations

import time
from dataclasses import dataclass

from chalicelib.clock import Clock
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.sync.allowance import Allowances, is_used_up
from chalicelib.store.ports.sync import Usage

UNCOUNTED = 100_000
"""Bytes of one connection that are not worth two writes; a poll that finds nothing reads less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Counts and compares."""

    usage: Usage
    allowances: Allowances
    now: Clock = time.time

    def add(self, account: Account, received: int) -> None:
        """Count the bytes of a connection, or of a part of it."""
        if received >= UNCOUNTED:
            self.usage.add(account.id, account.host, received)

    def is_used_up(self, account: Account, percent: int = 100) -> bool:
        """Tell whether so much of the day's bytes is used; asks nothing where there is no limit."""
        own, shared = self.allowances.of_account(account.host), self.allowances.of_host(account.host)
        mine = self.usage.accounts([account.id]).get(account.id, 0) if own else 0
        if is_used_up(mine, own, percent):
            return True
        return bool(shared) and is_used_up(
            self.usage.hosts([account.host])[account.host].received, shared, percent
        )
