"""Large accounts that arrive together never delay the new mail of others.

The ordinary run is small and counts; `make fairness-test` has 300 accounts on one Dovecot, 20 of them
with thousands of messages, and compares how soon new mail of the others is told, in quiet and meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.demo.dovecot import installed
from tests.e2e.crowd import SMALL, Crowd, crowd, p95, percentiles, stock

pytestmark = [pytest.mark.e2e, pytest.mark.server]
FULL = "POSTERN_FAIR_ACCOUNTS" in os.environ
ACCOUNTS = int(os.environ.get("POSTERN_FAIR_ACCOUNTS", "12"))
LARGE = int(os.environ.get("POSTERN_FAIR_LARGE", "3"))
MESSAGES = int(os.environ.get("POSTERN_FAIR_MESSAGES", "1200"))
SAMPLES = int(os.environ.get("POSTERN_FAIR_SAMPLES", "9"))
PAUSE = float(os.environ.get("POSTERN_FAIR_PAUSE", "0.3"))


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Crowd]:
    if not installed():
        if os.environ.get("CI") == "true":
            pytest.fail("Dovecot is not installed")
        pytest.skip("Dovecot is not installed")
    with crowd(tmp_path, ACCOUNTS) as made:
        yield made


def some(users: list[str], turn: int) -> list[str]:
    """Return the next so many users, round and round."""
    return [users[(turn * SAMPLES + n) % len(users)] for n in range(min(SAMPLES, len(users)))]


def test_new_mail_does_not_wait_for_the_history_of_others(town: Crowd) -> None:
    large, small = [f"a{n}" for n in range(LARGE)], [f"a{n}" for n in range(LARGE, ACCOUNTS)]
    stock(town.server, large, MESSAGES, seed=1)
    stock(town.server, small, SMALL, seed=2)
    town.connect(small)
    print(f"\n{len(small)} small accounts: {town.settle(small):.1f} s")
    time.sleep(5 if FULL else 2)
    quiet = town.delays(some(small, 0), PAUSE)
    print("quiet", percentiles(quiet))
    town.connect(large)
    began = time.monotonic()
    while town.waiting() < LARGE:
        time.sleep(0.1)
    print(f"{LARGE} large accounts wait for history after {time.monotonic() - began:.1f} s")
    busy: list[float] = []
    turn = 1
    while town.waiting() and (FULL or turn == 1):
        busy += town.delays(some(small, turn), PAUSE)
        print("busy", percentiles(busy), town.waiting())
        turn += 1
    assert busy
    assert town.waiting() or FULL  # all of it was told before the history was complete
    town.settle(large)
    took = time.monotonic() - began
    print(f"history: {LARGE * MESSAGES} messages in {took:.0f} s, {LARGE * MESSAGES / took:.0f}/s")
    quiet = sorted(quiet + town.delays(some(small, turn), PAUSE)) if FULL else quiet
    print(f"quiet: {percentiles(quiet)}; busy: {percentiles(sorted(busy))}")
    if FULL:
        assert p95(busy) <= 2 * p95(quiet)
