"""Polls over DynamoDB."""

from __future__ import annotations

from chalicelib.store.aws.connection import client
from chalicelib.store.values import Poll
from chalicelib.store.work.polls import PollTable
from tests.integration.aws import deployment


def test_every_account_is_polled_until_removed() -> None:
    with deployment() as settings:
        polls = PollTable(client(settings, "dynamodb"), settings)
        for n in range(40):
            polls.put(Poll(account_id=f"a{n}", active_at=n))
        polls.put(Poll(account_id="a7", active_at=99))
        polls.remove("a8")
        found = {poll.account_id: poll.active_at for poll in polls.all()}
        assert len(found) == 39 and found["a7"] == 99 and "a8" not in found
