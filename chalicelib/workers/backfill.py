"""Queue `backfill`: an account whose history is still to come has its turn."""

from __future__ import annotations

import logging

from chalicelib.domain.accounts.account import RESTING
from chalicelib.domain.jobs import FetchHistory
from chalicelib.errors import AuthRejected, ProviderError, SyncFailure
from chalicelib.services import services
from chalicelib.sync.accounts.foreseen import foreseen
from chalicelib.workers import sync

log = logging.getLogger(__name__)


def run(job: FetchHistory, received: int = 1) -> None:
    """Fetch history for one turn; what is left waits for the tick."""
    account = services().accounts.get(job.account_id)
    if account is None or account.state in RESTING:
        services().backfills.remove(job.account_id)
        return
    try:
        with foreseen(f"the history of account {account.id}"):
            services().take_turn(account)
    except AuthRejected as error:
        services().backfills.remove(account.id)
        sync.reject(account, error)
    except SyncFailure as error:
        services().health.failed(account.id, error)
    except ProviderError as error:
        log.warning("the history of account %s rests: %s", account.id, error)
    else:
        sync.note_life(account)
