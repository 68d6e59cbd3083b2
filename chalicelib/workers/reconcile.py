"""Every five minutes: the logs of some accounts are compared with what they tell of."""

from __future__ import annotations

import time

from chalicelib.clock import Clock, Deadline
from chalicelib.deltas import reconcile
from chalicelib.services import services

PAGES_AT_A_TIME = 20
"""Of one account, so that a large one does not keep the others waiting."""


def run(deadline: Deadline, now: Clock = time.time) -> None:
    """Enter the accounts whose turn it is, and go on with all under way until the time is over."""
    every, moment = services(), now()
    ids = (poll.account_id for poll in every.polls.all())
    every.reconciliations.begin(id for id in ids if reconcile.is_due(id, moment))
    while (under_way := every.reconciliations.under_way()) and not deadline.passed():
        for account_id, place in under_way.items():
            if not deadline.passed():
                every.reconciliations.save(account_id, _some_pages(account_id, place, deadline, now))


def _some_pages(account_id: str, place: str, deadline: Deadline, now: Clock) -> str:
    every = services()
    reconciling = reconcile.Reconciling(log=every.log, objects=every.objects, accounts=every.accounts)
    for _ in range(PAGES_AT_A_TIME):
        place = reconciling.step(account_id, place, now())
        if not place or deadline.passed():
            break
    return place
