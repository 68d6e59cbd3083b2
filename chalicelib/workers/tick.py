"""The minute tick: the only clock of the system."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from itertools import groupby

from chalicelib.domain.jobs import SYNC, CompareAccount, SyncAccount
from chalicelib.services import services
from chalicelib.store.values import Poll
from chalicelib.sync.accounts import schedule

log = logging.getLogger(__name__)

MINUTE = 60
LOCAL_SECONDS = 5
"""The local runtime ticks every few seconds for one user, who waits for new mail."""

MOST_WAITING, MOST_WAITING_LOCALLY = 500, 8
"""Messages in the queue: behind more than these, polls would only keep new mail waiting."""

LONGEST_DELAY = 900
"""Of a message in a queue."""


def run() -> None:
    """Enqueue the accounts to be polled, those whose history goes on, and endpoints whose time has come."""
    now = time.time()
    _poll(now)
    _deliver(int(now))
    services().call_backfills()


def _poll(now: float) -> None:
    every = services()
    backlog = every.queues.waiting(SYNC)
    if backlog > (MOST_WAITING_LOCALLY if every.settings.local else MOST_WAITING):
        log.warning("%d syncs wait: polls are left to a later tick", backlog)
        return  # it answers for these seconds, too, and for each account once
    span = schedule.window(every.polls.covered(), now, LOCAL_SECONDS if every.settings.local else MINUTE)
    polls = list(every.polls.all())
    most = max(1, int(every.settings.polls_per_second))
    awake = [poll for poll in polls if poll.retry_at <= now]
    tenants = {poll.account_id: poll.application_id or poll.account_id for poll in polls}
    _send(schedule.delays({poll: _interval(poll, now) for poll in awake}, span, most), SyncAccount, tenants)
    _send(schedule.repairs(polls, span), CompareAccount, tenants)
    every.polls.cover(span.until)  # only now: what a tick that dies has left out comes with the next


def _interval(poll: Poll, now: float) -> int:
    return LOCAL_SECONDS if services().settings.local else schedule.interval(poll, now)


def _send(
    delays: Mapping[str, int], job: type[SyncAccount] | type[CompareAccount], tenants: Mapping[str, str]
) -> None:
    order = sorted(delays, key=lambda id: delays[id])
    jobs = [job(account_id=id) for id in order]
    if jobs:
        spread = [min(delays[id], LONGEST_DELAY) for id in order]
        services().queues.send(jobs, [tenants[id] for id in order], spread=spread)


def _deliver(now: int) -> None:
    every = services()
    due = sorted(every.deliveries.due(now), key=lambda pair: pair[1].webhook_id)
    for webhook_id, some in groupby(due, key=lambda pair: pair[1].webhook_id):
        wakes = list(some)
        every.queues.send(list(dict.fromkeys(wake for _, wake in wakes)), webhook_id)
        every.deliveries.queued(wakes)  # only now: a lost one would be missed
