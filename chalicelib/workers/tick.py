"""The minute tick: the only clock of the system."""

from __future__ import annotations

import time
from itertools import groupby

from chalicelib.services import services
from chalicelib.sync import schedule


def run() -> None:
    """Enqueue the accounts to be polled and the endpoints whose time has come."""
    now = time.time()
    _poll(now)
    _deliver(int(now))
    services().call_backfills()


def _poll(now: float) -> None:
    every = services()
    # The local runtime ticks every few seconds for one user, who waits for new mail.
    polls = list(every.polls.all())
    jobs: list[dict[str, str | int]] = [
        {"account_id": poll.account_id}
        for poll in polls
        if every.settings.local or schedule.is_due(poll, now)
    ]
    compared = (poll.account_id for poll in polls if schedule.is_repair_due(poll.account_id, now))
    jobs += [{"account_id": id, "repair": 1} for id in compared]
    if jobs:
        every.queues.send("sync", jobs, "poll")


def _deliver(now: int) -> None:
    every = services()
    due = sorted(every.deliveries.due(now), key=lambda pair: pair[1].webhook_id)
    for webhook_id, some in groupby(due, key=lambda pair: pair[1].webhook_id):
        wakes = list(some)
        messages = [wake.message() for wake in dict.fromkeys(wake for _, wake in wakes)]
        every.queues.send("deliveries", messages, webhook_id)
        every.deliveries.queued(wakes)  # only now: a lost one would be missed
