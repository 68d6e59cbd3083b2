"""Stream of `log`: new entries wake the webhooks of their application."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.services import services
from chalicelib.webhooks import fanout


def parse(record: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the account and the sequence number of a new entry, None for anything else."""
    return services().logged(record)


def run(account_id: str, seqs: Sequence[int]) -> None:
    """Plan deliveries for every webhook that wants to hear of this account."""
    every = services()
    account = every.accounts.get(account_id)
    if account is None:
        return
    desk = fanout.Desk(log=every.log, deliveries=every.deliveries, queues=every.queues)
    for webhook in every.webhooks.of_application(account.application_id):
        fanout.tell(desk, webhook, account_id, first_seq=min(seqs), now=int(time.time()))
