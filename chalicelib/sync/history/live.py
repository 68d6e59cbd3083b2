"""What is new in an account.

Of an account that has just come everything is history, which has workers of its own: nobody's new mail waits
for it. Until its first screens are there such an account is not even opened here.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.store.ports.sync import Backfills
from chalicelib.sync.accounts.crowd import Crowd, Crowded
from chalicelib.sync.core.pace import Live
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.engine import run
from chalicelib.sync.history.meter import Quota

log = logging.getLogger(__name__)


def sync(
    work: SyncStores,
    meter: Quota,
    backfills: Backfills,
    account: Account,
    deadline: Deadline,
    crowd: Crowd | None = None,
) -> run.Outcome:
    """Sync what is new; MORE if history is left, DEFERRED if all of it is, CROWDED if it must come later.

    Nothing comes once the day's bytes are used up. Raises ProviderError.
    """
    if meter.is_used_up(account):
        log.warning("account %s has used up the bytes of its day", account.id)
        return run.Outcome.QUIET
    if _has_just_come(work, backfills, account):
        return run.Outcome.DEFERRED
    pace = Live(lambda: backfills.get(account.id) is not None)
    try:
        with crowd.place(account) if crowd else nullcontext():
            return run.sync_account(work, account, deadline, pace)
    except Crowded:
        log.info("account %s waits: enough syncs of its application or server are under way", account.id)
        return run.Outcome.CROWDED
    finally:
        meter.add(account, pace.received)


def _has_just_come(work: SyncStores, backfills: Backfills, account: Account) -> bool:
    if account.state is not SyncState.INITIALIZING:
        return False
    entry = backfills.get(account.id)
    return entry.awaits_first_turn if entry else not work.checkpoints.cursors(account.id)
