"""What is new in an account, and the beginning of its history.

The first screens of an account that has just come are fetched here, where nobody waits before it. Where
many arrive together they would keep others' new mail waiting: then all of it is history, in turns.
"""

from __future__ import annotations

import logging
import threading

from chalicelib.clock import Deadline
from chalicelib.domain.account import Account, SyncState
from chalicelib.store.ports import Backfills
from chalicelib.sync import engine
from chalicelib.sync.meter import Meter
from chalicelib.sync.pace import Live
from chalicelib.sync.workspace import Workspace

FEW = 3
"""While more accounts than these wait for history, nothing of a new one comes here."""

_room = threading.Semaphore(2)
"""So many threads of a worker bring first screens at once; the others have new mail to bring."""

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
    pace, arrives = Live(lambda: backfills.get(account.id) is not None), _arrives(account)
    here = not arrives or (len(backfills.all()) <= FEW and _room.acquire(blocking=False))
    if not here:
        pace.messages = 0
    try:
        return engine.sync_account(work, account, deadline, pace)
    finally:
        if arrives and here:
            _room.release()
        meter.add(account, pace.received)


def _arrives(account: Account) -> bool:
    return account.state is SyncState.INITIALIZING
