"""Watched accounts in the whole system: from the delivery of a mail to its webhook.

The ordinary run counts; `make watch-test` watches 300 accounts and prints how long it takes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from chalicelib.domain.log.delta import Operation
from infra.demo.dovecot import installed
from tests.e2e.checks import is_alive
from tests.e2e.conftest import eventually
from tests.e2e.crowd import Crowd, crowd, percentiles

pytestmark = [pytest.mark.e2e, pytest.mark.server]
ACCOUNTS = int(os.environ.get("POSTERN_WATCHED_ACCOUNTS", "6"))
PAUSE = float(os.environ.get("POSTERN_WATCHED_PAUSE", "0.2"))
USERS = [f"a{number}" for number in range(ACCOUNTS)]
ROUNDS, KILLS = 3, (0, 1)
PATIENCE = 60 + ACCOUNTS


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    if not installed():
        if os.environ.get("CI") == "true":
            pytest.fail("Dovecot is not installed")
        pytest.skip("Dovecot is not installed")
    with crowd(tmp_path_factory.mktemp("watched"), ACCOUNTS) as made:
        made.connect(USERS)
        made.settle(USERS)
        eventually(lambda: made.watched() >= ACCOUNTS, PATIENCE)
        time.sleep(2)
        yield made


def created(town: Crowd, user: str) -> int:
    """Count the messages that the delta log has created."""
    found = town.services.log.since(town.accounts[user], 0, 1_000)
    messages = (delta.change for delta in found if delta.change.kind == "message")
    return len({change.id for change in messages if change.event is Operation.CREATE})


def kill_watcher(town: Crowd) -> None:
    """Kill the process it lives in, and the syncs under way with it; first await its last restart."""
    eventually(lambda: is_alive(town.runtime.pid("worker-sync")))
    town.runtime.kill("worker-sync")


def test_every_delivery_is_told(town: Crowd) -> None:
    delays = town.delays(USERS, PAUSE, seconds=PATIENCE)
    print(f"\n{ACCOUNTS} watched accounts, delivery to webhook: {percentiles(delays)}")
    assert len(delays) == ACCOUNTS


def test_a_watcher_that_dies_while_mail_arrives_loses_none_of_it(town: Crowd) -> None:
    heard = {user: len(town.ear.heard(town.accounts[user])) for user in USERS}
    logged = {user: created(town, user) for user in USERS}
    for turn in range(ROUNDS):
        for number, user in enumerate(USERS):
            if turn in KILLS and number == ACCOUNTS // 2:
                kill_watcher(town)
            town.deliver(user)
            time.sleep(PAUSE / 10)

    def missing() -> list[str]:
        return [user for user in USERS if len(town.ear.heard(town.accounts[user])) < heard[user] + ROUNDS]

    eventually(lambda: not missing(), 2 * PATIENCE)
    assert {user: created(town, user) for user in USERS} == {user: n + ROUNDS for user, n in logged.items()}
    assert [len(town.ear.heard(town.accounts[user])) - heard[user] for user in USERS] == [ROUNDS] * ACCOUNTS
