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
class Desk:
    """What the turns work with; `seconds` is the longest turn.

    `logged` tells of account and message whether the delta log has heard of it.
    """

    backfills: Backfills
    queues: Queues
    meter: Quota
    sync: Sync
    logged: Callable[[str, str], bool]
    seconds: float
    now: Clock = time.time


def enter(desk: Desk, account: Account, *, begun: bool) -> None:
    """Have the history of an account fetched, at once if there is a place; see `Backfill` for `begun`.

    If it rests after a failure, it need not any longer: the account has just been synced.
    """
    now = desk.now()
    entry = Backfill(
        account_id=account.id,
        application_id=account.application_id,
        host=account.host,
        since=now,
        until=int(now) + QUEUED_SECONDS,
        stage=Stage.QUEUED,
        begun=begun,
    )
    if desk.backfills.enter(entry):
        _send(desk, entry)
    elif begun and (old := desk.backfills.get(account.id)) and old.stage is Stage.FAILING:
        desk.backfills.put(replace(old, stage=Stage.QUEUED, until=entry.until))
        _send(desk, entry)


def call_due(desk: Desk) -> int:
    """Enqueue those who have waited longest, as many as have a place; return how many. For the tick."""
    now, entries = desk.now(), desk.backfills.all()
    slow = _slow_hosts(desk, {entry.host for entry in entries})
    busy = Counter(place for entry in entries if entry.is_busy(now) for place in _places(entry))
    called = 0
    for entry in sorted(entries, key=lambda entry: entry.since):
        full = any(busy[place] >= most for place, most in _bounds(desk, entry, slow))
        if entry.is_due(now) and not full:
            desk.backfills.put(replace(entry, stage=Stage.QUEUED, until=int(now) + QUEUED_SECONDS))
            _send(desk, entry)
            busy.update(_places(entry))
            called += 1
    return called


def take_turn(desk: Desk, account: Account) -> Outcome | None:
    """Fetch history for a while; None if the account does not wait, or has to wait longer.

    Raises AuthRejected; any other failure of the mail server puts the account at rest.
    """
    entry = desk.backfills.get(account.id)
    if entry is None:
        return None
    if desk.meter.is_used_up(account, HISTORY_PERCENT):
        _rest(desk, entry, Stage.SPENT, next_day(desk.now()))
        return None
    running = replace(entry, stage=Stage.RUNNING, until=int(desk.now() + desk.seconds + _OVERTIME))
    desk.backfills.put(running)
    if not _fits(desk, running):
        _rest(desk, entry, Stage.WAITING)
        return None
    return _work(desk, account, entry)


def _work(desk: Desk, account: Account, entry: Backfill) -> Outcome:
    turn = Turn(
        account=account,
        meter=desk.meter,
        crowded=partial(_crowded, desk, account.id),
        makes_room=partial(makes_room, desk, account.id),
        logged=partial(desk.logged, account.id),
        fair=FAIR_SECONDS if entry.begun else FIRST_SECONDS,
    )
    try:
        outcome = desk.sync(account, Deadline.after(desk.seconds), turn)
    except Throttled as error:
        rest = slow_down(desk, account, error)
        if not entry.begun and "retry_after" not in error.details:  # somebody waits for first screens
            rest = int(desk.now()) + FIRST_SLOW_SECONDS
        _rest(desk, entry, Stage.THROTTLED, rest)
        raise
    except ProviderError:
        rest = FAILED_SECONDS if account.trouble else HICCUP_SECONDS
        _rest(desk, entry, Stage.FAILING, int(desk.now()) + rest)
        raise
    finally:
        turn.end()
    _conclude(desk, entry, outcome, spent=turn.spent)
    return outcome


def _conclude(desk: Desk, entry: Backfill, outcome: Outcome, *, spent: bool) -> None:
    now = desk.now()
    if outcome is Outcome.BUSY:
        _rest(desk, entry, Stage.WAITING, int(now) + BUSY_SECONDS)
    elif outcome is Outcome.MORE:
        back = replace(entry, since=now, begun=True)
        _rest(desk, back, *((Stage.SPENT, next_day(now)) if spent else (Stage.WAITING, 0)))
    else:
        desk.backfills.remove(entry.account_id)
    if outcome in (Outcome.MORE, Outcome.CURRENT):
        # Live syncs found the lease taken and left: what they came for must not wait for the next poll.
        desk.queues.send([SyncAccount(account_id=entry.account_id)], entry.application_id)


def slow_down(desk: Desk, account: Account, error: Throttled) -> int:
    """Spare a host that has asked for patience; return the Unix second until when."""
    until = int(desk.now()) + int(error.details.get("retry_after", SLOW_SECONDS))
    desk.meter.usage.slow_down(account.host, until)
    return until


def _rest(desk: Desk, entry: Backfill, stage: Stage, until: int = 0) -> None:
    desk.backfills.put(replace(entry, stage=stage, until=until))


def _crowded(desk: Desk, account_id: str) -> bool:
    """Tell whether somebody else waits for a turn."""
    now = desk.now()
    others = (entry for entry in desk.backfills.all() if entry.account_id != account_id)
    return any(_waits(entry, now) for entry in others)


def makes_room(desk: Desk, account_id: str) -> bool:
    """Tell whether a turn should end for somebody's first screens; of several, those end that began first."""
    now, entries = desk.now(), desk.backfills.all()
    running = [one for one in entries if one.stage is Stage.RUNNING and one.until > now]
    mine = next((one for one in running if one.account_id == account_id), None)
    if mine is None:
        return False
    newcomers = [one for one in entries if _is_kept_waiting(one, now) and _is_in_the_way(mine, one)]
    before = sum(one.begun and (one.until, one.account_id) < (mine.until, mine.account_id) for one in running)
    return before < len(newcomers)


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


def _fits(desk: Desk, entry: Backfill) -> bool:
    """Tell whether a turn that has just begun has a place: whoever began before it has the better right.

    Everybody writes first and looks then, so two that begin at once see each other. A worker that died
    leaves no place behind that the account's own next turn does not take again.
    """
    now, entries = desk.now(), desk.backfills.all()
    running = [one for one in entries if one.stage is Stage.RUNNING and one.until > now]
    before = [one for one in running if (one.until, one.account_id) < (entry.until, entry.account_id)]
    taken = Counter(place for one in before for place in _places(one))
    return all(taken[place] < most for place, most in _bounds(desk, entry, _slow_hosts(desk, [entry.host])))


def _bounds(desk: Desk, entry: Backfill, slow: frozenset[str]) -> list[tuple[str, int]]:
    allowances = desk.meter.allowances
    of_host = allowances.backfills_of_host(slow=entry.host in slow)
    return list(zip(_places(entry), (of_host, allowances.backfills_per_application), strict=True))


def _places(entry: Backfill) -> tuple[str, str]:
    return f"backfill-host#{entry.host}", f"backfill-application#{entry.application_id}"


def _slow_hosts(desk: Desk, hosts: Iterable[str]) -> frozenset[str]:
    now = desk.now()
    found = desk.meter.usage.hosts(hosts)
    return frozenset(host for host, usage in found.items() if usage.slow_until > now)


def _send(desk: Desk, entry: Backfill) -> None:
    desk.queues.send([FetchHistory(account_id=entry.account_id)], entry.application_id)
