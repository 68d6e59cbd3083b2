"""Queue `backfill`: an account whose history is still to come has its turn."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from chalicelib.domain.accounts.account import RESTING
from chalicelib.errors import AuthRejected, ProviderError, SyncFailure
from chalicelib.services import services
from chalicelib.sync.accounts.foreseen import foreseen
from chalicelib.workers import sync

log = logging.getLogger(__name__)


def run(body: Mapping[str, Any]) -> None:
    """Fetch history for one turn; what is left waits for the tick."""
    account = services().accounts.get(body["account_id"])
    if account is None or account.state in RESTING:
        services().backfills.remove(body["account_id"])
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
