"""What syncing works with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.clock import Clock
from chalicelib.domain.account import Account
from chalicelib.domain.removal import FEW
from chalicelib.providers.base import Provider
from chalicelib.store.ports import Accounts, Blobs, Checkpoints, Mail, Quarantine

_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """More than `few` messages and half of a folder do not vanish before `seconds` have passed."""

    few: int = FEW
    seconds: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Stores, the way to a provider, and how many days of mail are kept (0: everything).

    Without `safety` everything that is gone from the server is removed at once, without a `quarantine` a
    message that cannot be taken in stops its account.
    """

    mail: Mail
    checkpoints: Checkpoints
    blobs: Blobs
    accounts: Accounts
    provider: Callable[[Account], Provider]
    history_days: int = 0
    now: Clock = time.time
    quarantine: Quarantine | None = None
    safety: Safety | None = None

    def since(self) -> int:
        """Return the Unix second before which mail is left alone, 0 for none."""
        return int(self.now()) - self.history_days * _DAY if self.history_days > 0 else 0
