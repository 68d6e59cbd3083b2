"""What syncing works with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.clock import Clock
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.accounts.frozen_removal import FEW
from chalicelib.domain.mail.retention import Retention
from chalicelib.providers.base import Provider
from chalicelib.store.ports.accounts import Accounts
from chalicelib.store.ports.mail import Blobs, Filings, Mail
from chalicelib.store.ports.sync import Checkpoints, Quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """More than `few` messages and half of a folder do not vanish before `seconds` have passed."""

    few: int = FEW
    seconds: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStores:
    """Stores, the way to a provider, and how many days of mail are kept (0: everything).

    `application_days` is what an application (by id) says of that, None if nothing. Without `safety`
    everything that is gone from the server is removed at once, without a `quarantine` a message that
    cannot be taken in stops its account, and without `filings` nobody knows of sent mail that was not filed.
    """

    mail: Mail
    checkpoints: Checkpoints
    blobs: Blobs
    accounts: Accounts
    provider: Callable[[Account], Provider]
    history_days: int = 0
    application_days: Callable[[str], int | None] = lambda _: None
    now: Clock = time.time
    sleep: Callable[[float], None] = time.sleep
    quarantine: Quarantine | None = None
    filings: Filings | None = None
    safety: Safety | None = None

    def window(self, account: Account) -> Retention:
        """Return what is kept: as the account has it, else its application, else the deployment."""
        days = account.history_days
        if days is None:
            days = self.application_days(account.application_id)
        if days is None:
            days = self.history_days
        return Retention(days=days, exceptions=account.folder_days)
