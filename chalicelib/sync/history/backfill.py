"""History in turns: who may fetch it now, who waits, who rests and why.

A live sync that leaves history behind enters its account here. Each turn holds two of a limited number of
places, one of its mail server and one of its application; who finds none waits, and the tick calls those
who have waited longest. A function must not feed its own queue for long (Lambda stops such loops), so
only the tick begins the next turn.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from chalicelib.clock import Clock, Deadline
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.jobs import FetchHistory, SyncAccount
from chalicelib.domain.sync.allowance import HISTORY_PERCENT, next_day
from chalicelib.domain.sync.backfill import Backfill, Stage
from chalicelib.errors import ProviderError, Throttled
from chalicelib.store.ports.sync import Backfills
from chalicelib.store.ports.work import Queues
from chalicelib.sync.core.pace import Pace
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.history.meter import Quota
from chalicelib.sync.history.turn import FAIR_SECONDS, FIRST_SECONDS, Turn

QUEUED_SECONDS = 900
"""A message that has not come by then is lost, and the tick sends another."""

BUSY_SECONDS = 5
PATIENCE_SECONDS = 2
"""A free worker takes a new account up within that; later somebody else's turn ends for it."""

HICCUP_SECONDS, FAILED_SECONDS = 10, 120
"""Rests after a failure: of a server with which nothing was wrong, and of one in trouble already."""

SLOW_SECONDS, FIRST_SLOW_SECONDS = 300, 60
"""How long a host that asks for patience, and does not say how much, is spared; and before first screens."""

_OVERTIME = 60.0

Sync = Callable[[Account, Deadline, Pace], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilling:
    """Gives history its turns; `seconds` is the longest one.

    `logged` tells of account and message whether the delta log has heard of it.
    """

    backfills: Backfills
    queues: Queues
    meter: Quota
    sync: Sync
    logged: Callable[[str, str], bool]
    seconds: float
    now: Clock = time.time

    def enter(self, account: Account, *, begun: bool) -> None:
        """Have the history of an account fetched, at once if there is a place; see `Backfill` for `begun`.

        If it rests after a failure, it need not any longer: the account has just been synced.
        """
        now = self.now()
        entry = Backfill(
            account_id=account.id,
            application_id=account.application_id,
            host=account.host,
            since=now,
            until=int(now) + QUEUED_SECONDS,
            stage=Stage.QUEUED,
            begun=begun,
        )
        if self.backfills.enter(entry):
            self._send(entry)
        elif begun and (old := self.backfills.get(account.id)) and old.stage is Stage.FAILING:
            self.backfills.put(replace(old, stage=Stage.QUEUED, until=entry.until))
            self._send(entry)

    def call_due(self) -> int:
        """Enqueue those who have waited longest, as many as have a place; return how many. For the tick."""
        now, entries = self.now(), self.backfills.all()
        slow = self._slow_hosts({entry.host for entry in entries})
        busy = Counter(place for entry in entries if entry.is_busy(now) for place in _places(entry))
        called = 0
        for entry in sorted(entries, key=lambda entry: entry.since):
            full = any(busy[place] >= most for place, most in self._bounds(entry, slow))
            if entry.is_due(now) and not full:
                self.backfills.put(replace(entry, stage=Stage.QUEUED, until=int(now) + QUEUED_SECONDS))
                self._send(entry)
                busy.update(_places(entry))
                called += 1
        return called

    def take_turn(self, account: Account) -> Outcome | None:
        """Fetch history for a while; None if the account does not wait, or has to wait longer.

        Raises AuthRejected; any other failure of the mail server puts the account at rest.
        """
        entry = self.backfills.get(account.id)
        if entry is None:
            return None
        if self.meter.is_used_up(account, HISTORY_PERCENT):
            self._rest(entry, Stage.SPENT, next_day(self.now()))
            return None
        running = replace(entry, stage=Stage.RUNNING, until=int(self.now() + self.seconds + _OVERTIME))
        self.backfills.put(running)
        if not self._fits(running):
            self._rest(entry, Stage.WAITING)
            return None
        return self._work(account, entry)

    def _work(self, account: Account, entry: Backfill) -> Outcome:
        turn = Turn(
            account=account,
            meter=self.meter,
            crowded=partial(self._crowded, account.id),
            makes_room=partial(self.makes_room, account.id),
            logged=partial(self.logged, account.id),
            fair=FAIR_SECONDS if entry.begun else FIRST_SECONDS,
        )
        try:
            outcome = self.sync(account, Deadline.after(self.seconds), turn)
        except Throttled as error:
            rest = self.slow_down(account, error)
            if not entry.begun and "retry_after" not in error.details:  # somebody waits for first screens
                rest = int(self.now()) + FIRST_SLOW_SECONDS
            self._rest(entry, Stage.THROTTLED, rest)
            raise
        except ProviderError:
            rest = FAILED_SECONDS if account.trouble else HICCUP_SECONDS
            self._rest(entry, Stage.FAILING, int(self.now()) + rest)
            raise
        finally:
            turn.end()
        self._conclude(entry, outcome, spent=turn.spent)
        return outcome

    def _conclude(self, entry: Backfill, outcome: Outcome, *, spent: bool) -> None:
        now = self.now()
        if outcome is Outcome.BUSY:
            self._rest(entry, Stage.WAITING, int(now) + BUSY_SECONDS)
        elif outcome is Outcome.MORE:
            back = replace(entry, since=now, begun=True)
            self._rest(back, *((Stage.SPENT, next_day(now)) if spent else (Stage.WAITING, 0)))
        else:
            self.backfills.remove(entry.account_id)
        if outcome in (Outcome.MORE, Outcome.CURRENT):
            # Live syncs found the lease taken and left: what they came for must not wait for the next poll.
            self.queues.send([SyncAccount(account_id=entry.account_id)], entry.application_id)

    def slow_down(self, account: Account, error: Throttled) -> int:
        """Spare a host that has asked for patience; return the Unix second until when."""
        until = int(self.now()) + int(error.details.get("retry_after", SLOW_SECONDS))
        self.meter.usage.slow_down(account.host, until)
        return until

    def _rest(self, entry: Backfill, stage: Stage, until: int = 0) -> None:
        self.backfills.put(replace(entry, stage=stage, until=until))

    def _crowded(self, account_id: str) -> bool:
        """Tell whether somebody else waits for a turn."""
        now = self.now()
        others = (entry for entry in self.backfills.all() if entry.account_id != account_id)
        return any(_waits(entry, now) for entry in others)

    def makes_room(self, account_id: str) -> bool:
        """Tell whether a turn should end for somebody's first screens; of several, the first one."""
        now, entries = self.now(), self.backfills.all()
        running = [one for one in entries if one.stage is Stage.RUNNING and one.until > now]
        mine = next((one for one in running if one.account_id == account_id), None)
        if mine is None:
            return False
        newcomers = [one for one in entries if _is_kept_waiting(one, now) and _is_in_the_way(mine, one)]
        before = sum(
            one.begun and (one.until, one.account_id) < (mine.until, mine.account_id) for one in running
        )
        return before < len(newcomers)

    def _fits(self, entry: Backfill) -> bool:
        """Tell whether a turn that has just begun has a place: whoever began before it has the better right.

        Everybody writes first and looks then, so two that begin at once see each other. A worker that died
        leaves no place behind that the account's own next turn does not take again.
        """
        now, entries = self.now(), self.backfills.all()
        running = [one for one in entries if one.stage is Stage.RUNNING and one.until > now]
        before = [one for one in running if (one.until, one.account_id) < (entry.until, entry.account_id)]
        taken = Counter(place for one in before for place in _places(one))
        return all(taken[place] < most for place, most in self._bounds(entry, self._slow_hosts([entry.host])))

    def _bounds(self, entry: Backfill, slow: frozenset[str]) -> list[tuple[str, int]]:
        allowances = self.meter.allowances
        of_host = allowances.backfills_of_host(slow=entry.host in slow)
        return list(zip(_places(entry), (of_host, allowances.backfills_per_application), strict=True))

    def _slow_hosts(self, hosts: Iterable[str]) -> frozenset[str]:
        now = self.now()
        found = self.meter.usage.hosts(hosts)
        return frozenset(host for host, usage in found.items() if usage.slow_until > now)

    def _send(self, entry: Backfill) -> None:
        self.queues.send([FetchHistory(account_id=entry.account_id)], entry.application_id)


def _is_kept_waiting(entry: Backfill, now: float) -> bool:
    """Tell whether an account has had no turn yet although a free worker would have come by now."""
    return (
        entry.awaits_first_turn and entry.stage is not Stage.RUNNING and entry.since <= now - PATIENCE_SECONDS
    )


def _is_in_the_way(running: Backfill, entry: Backfill) -> bool:
    """Tell whether the end of a turn helps one who waits: for a worker if it is queued, else for a place."""
    return entry.stage is Stage.QUEUED or not set(_places(running)).isdisjoint(_places(entry))


def _waits(entry: Backfill, now: float) -> bool:
    queued = entry.stage is Stage.QUEUED and entry.since <= now - BUSY_SECONDS  # no worker is free
    return queued or entry.is_due(now)


def _places(entry: Backfill) -> tuple[str, str]:
    return f"backfill-host#{entry.host}", f"backfill-application#{entry.application_id}"
