"""What the success or failure of a pass makes of an account: its trouble, its rest, its state.

A pass that finds what the account says already writes nothing. Every transition is the store's conditional
one, so that each is told once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chalicelib.clock import Clock
from chalicelib.domain.accounts.account import RESTING, Account, SyncState
from chalicelib.domain.accounts.trouble import (
    FailureKind,
    Trouble,
    after_failure,
    after_pass,
    is_erring,
    is_hopeless,
    is_refused_twice,
)
from chalicelib.errors import AuthRejected, ProviderError, SyncFailure
from chalicelib.store.ports.accounts import Accounts
from chalicelib.store.ports.sync import Polls
from chalicelib.store.values import Stale
from chalicelib.sync.core.retrying import until_fresh

_ALARMING = frozenset({SyncState.STOPPED, SyncState.SYNC_ERROR})
UNTRIED_SECONDS = 600
STUCK = "An attempt ended without a result: the worker crashed, or was out of memory or time."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What failures are recorded with; `share` returns a random number from 0 to 1."""

    accounts: Accounts
    polls: Polls
    share: Callable[[], float]
    now: Clock

    def failed(self, account_id: str, error: ProviderError) -> bool:
        """Record a pass that failed; True if the account rests until it is connected anew."""
        return self._record(account_id, _fault(error), error.message, _patience(error))

    def died(self, account_id: str) -> bool:
        """Record a pass that has left no trace; True if the account rests until it is connected anew."""
        return self._record(account_id, FailureKind.STUCK, STUCK, 0)

    def recovered(self, account: Account) -> None:
        """Have an account polled again whose server works before its rest is over."""
        if account.trouble and account.trouble.retry_at > self.now():
            self.polls.rest(account.id, 0)

    def _record(self, account_id: str, fault: FailureKind, reason: str, patience: int) -> bool:
        now, share = int(self.now()), self.share()

        def step() -> Account | None:
            account = self.accounts.get(account_id)
            if account is None or account.state in RESTING:
                return account
            trouble = after_failure(account.trouble, fault, reason, now, share, patience)
            account = self.accounts.note_trouble(account, trouble)
            return self.accounts.transition(account, _state_in(account, trouble, now))

        account = until_fresh(step)
        if account and account.state in _ALARMING:
            log.error(
                "account %s needs a look: it is in state %s: %s", account_id, account.state.value, reason
            )
        if account is None or account.state in RESTING:
            self.polls.remove(account_id)
            return True
        if account.trouble:
            self.polls.rest(account_id, account.trouble.retry_at)
        return False


def passed(accounts: Accounts, account: Account, failing: Mapping[str, str], current: bool, now: int) -> None:
    """Record a pass that worked, but for the failing folders (with reasons); nothing new is no write."""
    trouble = after_pass(account.trouble, failing.items(), now, seen_all=current)
    if trouble == account.trouble and _state_after(account.state, trouble, current) is account.state:
        return
    fresh = accounts.get(account.id)
    if fresh is None or fresh.state in RESTING:
        return
    try:
        fresh = accounts.note_trouble(fresh, trouble)
        accounts.transition(fresh, _state_after(fresh.state, trouble, current))
    except Stale:  # connected anew at this very moment: the next pass will tell
        log.info("account %s changed meanwhile", account.id)


def _state_in(account: Account, trouble: Trouble, now: int) -> SyncState:
    # What is refused so soon after connecting has never worked: it needs no second refusal.
    untried = account.state is SyncState.INITIALIZING and now - account.rev // 1000 < UNTRIED_SECONDS
    if trouble.fault is FailureKind.LOGIN and (untried or is_refused_twice(trouble, now)):
        return SyncState.INVALID
    if is_hopeless(trouble, now):
        return SyncState.STOPPED
    return SyncState.SYNC_ERROR if is_erring(trouble, now) else account.state


def _state_after(state: SyncState, trouble: Trouble | None, current: bool) -> SyncState:
    if trouble and trouble.is_partial:
        return SyncState.PARTIAL
    if state is SyncState.SYNC_ERROR:
        return SyncState.RUNNING
    waiting = state in (SyncState.INITIALIZING, SyncState.PARTIAL)
    return SyncState.RUNNING if waiting and current and trouble is None else state


def _fault(error: ProviderError) -> FailureKind:
    if isinstance(error, AuthRejected):
        return FailureKind.LOGIN
    return FailureKind.INTERNAL if isinstance(error, SyncFailure) else FailureKind.SERVER


def _patience(error: ProviderError) -> int:
    """Return the seconds that the server asked for; a second login must wait a minute to tell us anything."""
    asked = error.details.get("retry_after", 0)
    return max(int(asked), 60) if isinstance(error, AuthRejected) else int(asked)
