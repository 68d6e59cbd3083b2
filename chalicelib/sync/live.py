"""What is new in an account, and the beginning of its history."""

from __future__ import annotations

import logging

from chalicelib.clock import Deadline
from chalicelib.domain.account import Account, SyncState
from chalicelib.store.ports import Backfills
from chalicelib.sync import engine
from chalicelib.sync.meter import Meter
from chalicelib.sync.pace import FIRST_MESSAGES, Live
from chalicelib.sync.workspace import Workspace

MANY = 3
FEW_MESSAGES = 40
"""What of a new account comes at once while many others arrive, too."""

log = logging.getLogger(__name__)


def sync(
    work: Workspace, meter: Meter, backfills: Backfills, account: Account, deadline: Deadline
) -> engine.Outcome:
    """Sync what is new; MORE if history is left. Nothing comes once the day's bytes are used up.

    Raises ProviderError.
    """
    if meter.is_used_up(account):
        log.warning("account %s has used up the bytes of its day", account.id)
        return engine.Outcome.QUIET
    pace = Live(lambda: backfills.get(account.id) is not None, _beginning(backfills, account))
    try:
        return engine.sync_account(work, account, deadline, pace)
    finally:
        meter.add(account, pace.received)


def _beginning(backfills: Backfills, account: Account) -> int:
    if account.state is SyncState.INITIALIZING and len(backfills.all()) > MANY:
        return FEW_MESSAGES
    return FIRST_MESSAGES
