"""Large accounts that arrive together never delay the new mail of others.

The ordinary run is small and counts; `make fairness-test` has 300 accounts on one Dovecot, 20 of them
with thousands of messages, and compares how soon new mail of the others is told: in turns with the worker
of history held and let go, so that whatever else this machine does weighs on both. What is told in the very
seconds in which they arrive is compared as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest

from infra.demo.dovecot import installed
from tests.e2e.crowd import SMALL, Crowd, crowd, p95, percentiles, stock

pytestmark = [pytest.mark.e2e, pytest.mark.server]
FULL = "POSTERN_FAIR_ACCOUNTS" in os.environ
ACCOUNTS = int(os.environ.get("POSTERN_FAIR_ACCOUNTS", "10"))
LARGE = int(os.environ.get("POSTERN_FAIR_LARGE", "3"))
MESSAGES = int(os.environ.get("POSTERN_FAIR_MESSAGES", "1500"))
SAMPLES = int(os.environ.get("POSTERN_FAIR_SAMPLES", "7"))
ROUNDS = int(os.environ.get("POSTERN_FAIR_ROUNDS", "12" if FULL else "1"))
PAUSE = float(os.environ.get("POSTERN_FAIR_PAUSE", "0.25"))
PATIENCE = 1_800.0


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Crowd]:
    if not installed():
        if os.environ.get("CI") == "true":
            pytest.fail("Dovecot is not installed")
        pytest.skip("Dovecot is not installed")
    with crowd(tmp_path, ACCOUNTS) as made:
        yield made


def arrive(town: Crowd, large: list[str], others: list[str]) -> list[float]:
    """Connect large accounts, wait until all of them stand in line; return the delays of others meanwhile."""
    began = time.monotonic()
    town.connect(large)
    delays = town.delays(others, PAUSE)
    print(f"while they come: {percentiles(delays)}")
    while town.waiting() < LARGE:
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.1)
    print(f"{LARGE} accounts of {MESSAGES} messages wait after {time.monotonic() - began:.0f} s")
    return delays


def calm(town: Crowd, user: str) -> None:
    """Wait until the beginnings of the large accounts have gone through everything."""
    last = float("inf")
    with town.without_history():
        while (delay := town.delays([user], 0)[0]) < 0.8 * last:
            last = delay


def measure(town: Crowd, small: list[str]) -> tuple[list[float], list[float]]:
    """Return the delays in quiet and while history comes, as long as it does."""
    users, quiet, busy = cycle(small), list[float](), list[float]()
    for _ in range(ROUNDS):
        if FULL:
            with town.without_history():
                still = town.delays(list(islice(users, SAMPLES)), PAUSE)
            quiet += still
            print(f"quiet: {percentiles(still)}")
        some = town.delays(list(islice(users, SAMPLES)), PAUSE)
        if not town.waiting():
            break
        busy += some
        print(f"{town.waiting()} wait; busy: {percentiles(sorted(some))}")
    return quiet, busy


def test_new_mail_does_not_wait_for_the_history_of_others(town: Crowd) -> None:
    large, small = [f"a{n}" for n in range(LARGE)], [f"a{n}" for n in range(LARGE, ACCOUNTS)]
    stock(town.server, large, MESSAGES, seed=1)
    stock(town.server, small, SMALL, seed=2)
    town.connect(small)
    print(f"\n{len(small)} small accounts are there after {town.settle(small):.0f} s")
    burst = arrive(town, large, small[:SAMPLES])
    if FULL:
        calm(town, small[0])
    quiet, busy = measure(town, small)
    assert len(busy) >= SAMPLES  # that many were told while history was still to come
    if FULL:
        for name, some in (("quiet", quiet), ("busy", busy), ("burst", burst)):
            print(f"{name}: {percentiles(some)} · ratio {p95(some) / p95(quiet):.2f}")
        assert p95(busy) <= 2 * p95(quiet)
        assert p95(burst) <= 2 * p95(quiet)
        return
    town.settle(large, PATIENCE)
    for user in large:
        ids = {message.id for message in town.services.mail.newest_messages(town.accounts[user])}
        assert len(ids) == MESSAGES
