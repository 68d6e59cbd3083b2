"""Bring one account up to date, one bounded batch at a time.

A sweep lists the folders; those whose token stands still are done. The others stand in a queue: fetch a
batch of the first, store it, move the folder's cursor, and back to the end while it has more. While a
batch is being stored the next one is fetched and parsed.

    list folders ─▶ nothing moved ─▶ CURRENT (no write at all)
         │
    ┌─▶ each folder in turn: changes ─▶ absorb arrivals and flags ─▶ cursor
    │    │ removals wait until every folder was seen, so that a move is no deletion
    │    ▼
    └── list again while something is left ─▶ CURRENT, or MORE when the deadline has passed

The lease is taken before the first write (somebody else has it: BUSY). A crash anywhere repeats the
batch under way; repeating writes nothing twice.
"""

from __future__ import annotations

from enum import Enum

from chalicelib.clock import Deadline
from chalicelib.domain.account import Account, SyncState
from chalicelib.sync.pace import UNHURRIED, Pace
from chalicelib.sync.sweep import Busy, Overtaken, Sweep
from chalicelib.sync.workspace import Workspace


class Outcome(Enum):
    """How a sync ended."""

    QUIET = "quiet"
    """Nothing had changed, nothing was written."""
    CURRENT = "current"
    MORE = "more"
    BUSY = "busy"


def sync_account(work: Workspace, account: Account, deadline: Deadline, pace: Pace = UNHURRIED) -> Outcome:
    """Sync until current, out of time or out of turn. Raises ProviderError when the mail server fails."""
    provider = work.provider(account)
    try:
        with Sweep(work, account, provider, deadline, pace) as sweep:
            current = _until_current(sweep) and not sweep.behind
    except Busy:
        return Outcome.BUSY
    finally:
        provider.close()
    if not current:
        return Outcome.MORE
    _announce(work, account)
    return Outcome.CURRENT if sweep.wrote else Outcome.QUIET


def _until_current(sweep: Sweep) -> bool:
    """Sweep until a listing shows nothing new; False if the time was up before."""
    while True:
        try:
            if not sweep.once():
                return True
        except Overtaken:  # now the lease is ours
            sweep.reload()
            continue
        if sweep.over():
            return False


def _announce(work: Workspace, account: Account) -> None:
    if account.state is SyncState.RUNNING:
        return
    current = work.accounts.get(account.id)
    if current is not None and current.state in (SyncState.INITIALIZING, SyncState.SYNC_ERROR):
        work.accounts.transition(current, SyncState.RUNNING)
