"""Queue `sync`: one account may have changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from chalicelib.domain.account import Account, SyncState
from chalicelib.errors import AuthRejected, ProviderError
from chalicelib.services import services
from chalicelib.store.ports import Poll

log = logging.getLogger(__name__)

RESTING = frozenset({SyncState.INVALID, SyncState.STOPPED})


def run(body: Mapping[str, Any]) -> None:
    """Sync one account; a mail server that fails is asked again by a later tick."""
    account = services().accounts.get(body["account_id"])
    if account is None or account.state in RESTING:
        services().polls.remove(body["account_id"])
        return
    try:
        outcome = services().sync(account)
    except AuthRejected as error:
        reject(account, error)
    except ProviderError as error:
        log.warning("account %s cannot be synced now: %s", account.id, error)
    else:
        if outcome.value == "more":
            _go_on(account)


def reject(account: Account, error: AuthRejected) -> None:
    """Rest the account until its user has renewed the credentials."""
    log.warning("account %s is refused by its mail server: %s", account.id, error)
    fresh = services().accounts.get(account.id)  # the state may have moved while we were at work
    if fresh is not None and fresh.state not in RESTING:
        services().accounts.transition(fresh, SyncState.INVALID)
    services().polls.remove(account.id)


def _go_on(account: Account) -> None:
    services().polls.put(Poll(account_id=account.id, active_at=int(time.time())))
    # Lambda stops a function that feeds its own queue after 16 rounds: there, the tick goes on.
    if services().settings.local:
        services().queues.send("sync", [{"account_id": account.id}], account.id)
