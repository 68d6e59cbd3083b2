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
batch under way; repeating writes nothing twice. Messages that cannot be stored are set aside (`poison`),
large removals wait for a second look (`guard`), and how it went decides on the account's state (`health`).
"""

from __future__ import annotations

from enum import Enum

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import Account
from chalicelib.errors import Interrupted
from chalicelib.sync.accounts import health
from chalicelib.sync.accounts.foreseen import foreseen
from chalicelib.sync.core.pace import UNHURRIED, Pace
from chalicelib.sync.core.retrying import Busy, Overtaken
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.engine.session import SyncSession
from chalicelib.sync.engine.terms import Terms
from chalicelib.sync.safety.hangups import Hangups


class Outcome(Enum):
    """How a sync ended."""

    QUIET = "quiet"
    """Nothing had changed, nothing was written."""
    CURRENT = "current"
    MORE = "more"
    BUSY = "busy"
    DEFERRED = "deferred"
    """Nobody has looked: all of it is history, which comes in its turn."""
    CROWDED = "crowded"
    """Nobody has looked: its application or mail server holds as many workers as it may."""


def sync_account(work: SyncStores, account: Account, deadline: Deadline, pace: Pace = UNHURRIED) -> Outcome:
    """Sync until current, out of time or out of turn.

    Raises ProviderError when the mail server fails, and SyncFailure over whatever nobody foresaw.
    """
    hangups = Hangups(work, account)
    while True:
        try:
            with foreseen(f"the sync of account {account.id}"):
                outcome = _stay(work, account, Terms(deadline, pace, hangups))
            if outcome in (Outcome.CURRENT, Outcome.QUIET):
                hangups.acquit()
            return outcome
        except Interrupted as error:
            if deadline.passed() or not hangups.learn(error):
                raise


def _stay(work: SyncStores, account: Account, stay: Terms) -> Outcome:
    provider = work.provider(account)
    try:
        with SyncSession(work, account, provider, stay) as sweep:
            current = _until_current(sweep) and not sweep.behind
    except Busy:
        return Outcome.BUSY
    finally:
        provider.close()
    failing = {id: error.message for id, error in sweep.failing.items()}
    health.passed(work.accounts, account, failing, current, int(work.now()))
    if not current:
        return Outcome.MORE
    return Outcome.CURRENT if sweep.wrote else Outcome.QUIET


def _until_current(sweep: SyncSession) -> bool:
    """Sweep until a listing shows nothing new; False if the time was up before."""
    while True:
        try:
            if not sweep.once():
                sweep.review()
                return True
        except Overtaken:  # now the lease is ours
            sweep.reload()
            continue
        if sweep.over():
            return False
