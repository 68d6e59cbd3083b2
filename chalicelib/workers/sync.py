"""Queue `sync`: one account may have changed."""

from __future__ import annotations

import logging
import time

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import RESTING, Account
from chalicelib.domain.jobs import CompareAccount, RetryMessage, SyncAccount, SyncJob
from chalicelib.errors import AuthRejected, ProviderError, Throttled
from chalicelib.services import services
from chalicelib.store.values import Poll
from chalicelib.sync.accounts.foreseen import foreseen

log = logging.getLogger(__name__)


class InTheWay(Exception):
    """Another worker is at the account."""


NOTED_SECONDS = 600
_seen: dict[str, float] = {}


def run(job: SyncJob, received: int = 1) -> None:
    """Do one job of an account; `received` counts how often the queue has delivered it.

    A mail server that fails is asked again by a later tick, the later the longer it fails.
    """
    if isinstance(job, SyncAccount) and received > 1:  # other jobs come again if `InTheWay`
        services().health.died(job.account_id)
    account = services().accounts.get(job.account_id)
    if account is None or account.state in RESTING:
        services().polls.remove(job.account_id)
        return
    try:
        with foreseen(f"a job of account {account.id}", InTheWay):
            _work(account, job)
    except AuthRejected as error:
        reject(account, error)
    except ProviderError as error:
        if isinstance(error, Throttled):
            services().slow_down(account, error)
        log.warning("account %s cannot be synced now: %s", account.id, error)
        services().health.failed(account.id, error)


def _work(account: Account, job: SyncJob) -> None:
    match job:
        case RetryMessage():
            _retry(account, job.entry_id)
        case SyncAccount() | CompareAccount():
            _sync(account, job)


def _sync(account: Account, job: SyncAccount | CompareAccount) -> None:
    deadline = services().working_time()
    outcome = services().sync(account, deadline).value
    if outcome not in ("busy", "deferred", "crowded"):
        services().health.recovered(account)
    if isinstance(job, CompareAccount):
        _compare(account, outcome, deadline, job.settled)
    if outcome in ("more", "deferred"):
        services().enter_backfill(account, begun=outcome == "more")
    if outcome in ("more", "deferred", "current", "crowded"):  # the last: so that it is asked again soon
        note_life(account)


def reject(account: Account, error: AuthRejected) -> bool:
    """Note a refused login; True if the account rests until its user has renewed the credentials."""
    log.warning("account %s is refused by its mail server: %s", account.id, error)
    return services().health.failed(account.id, error)


def _retry(account: Account, id: str) -> None:
    if not services().retry_quarantined(account, id):
        raise InTheWay(account.id)


def _compare(account: Account, outcome: str, deadline: Deadline, settled: int | None) -> None:
    """Compare an account with its server. Raises InTheWay if another worker is there: the queue tries again.

    In the middle of a first sync there is nothing to compare; the weekly comparison will come.
    """
    current = outcome in ("quiet", "current")
    if outcome in ("busy", "crowded") or (current and services().repair(account, deadline, settled) is None):
        raise InTheWay(account.id)


def note_life(account: Account) -> None:
    """Have an account that changes polled more often; it is entered again every ten minutes at most."""
    now = time.time()
    if _seen.get(account.id, 0) + NOTED_SECONDS <= now:
        services().polls.put(
            Poll(
                account_id=account.id,
                active_at=int(now),
                host=account.host,
                application_id=account.application_id,
            )
        )
        _seen[account.id] = now
