"""A storm of changes with one endpoint that hangs and one that is dead beside a healthy one.

The ordinary run counts; `make storm-test` sends 20,000 changes so, and in turns with these 20,000 with
the healthy endpoint alone, and compares how long they took to arrive.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.bench.storm import Endpoint, Storm
from infra.bench.storm import storm as running

pytestmark = pytest.mark.e2e
FULL = "POSTERN_STORM_CHANGES" in os.environ
CHANGES = int(os.environ.get("POSTERN_STORM_CHANGES", "1000"))
BLOCKS = 4 if FULL else 1


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Storm]:
    with running(tmp_path) as made:
        yield made


def percentiles(values: list[float]) -> str:
    return " · ".join(f"p{p} {1000 * values[len(values) * p // 100 - 1]:.0f} ms" for p in (50, 90, 95, 99))


def beside_bad_ones(storm: Storm, healthy: Endpoint, count: int) -> list[float]:
    """Blow beside an endpoint that hangs and one that is dead; check what they left, return the delays."""
    hanging, dead = Endpoint(hangs=True), Endpoint()
    bad = [storm.hook(hanging), storm.hook(dead)]
    dead.close()
    began = time.monotonic()
    found = healthy.delays(storm.blow(count))
    minutes = (time.monotonic() - began) / 60
    for id in bad:
        made = storm.get(id, "deliveries?limit=1000")
        attempts = sum(one["attempts_made"] for one in made)
        # At most one delivery for each call there could be before the circuit opened, then probes.
        assert len(made) <= 10 and attempts <= 10 + 2 * minutes
        assert sum(lane["log_entries"] for lane in storm.get(id, "missed")["behind"]) == count
        storm.unhook(id)
    hanging.close()
    return found


def test_a_hanging_and_a_dead_endpoint_delay_nobody_and_pile_up_nothing(storm: Storm) -> None:
    healthy = Endpoint()
    healthy_id = storm.hook(healthy)
    quiet: list[float] = []
    stormy: list[float] = []
    for _ in range(BLOCKS):  # in turns, so that whatever else this machine does weighs on both
        quiet += healthy.delays(storm.blow(CHANGES // BLOCKS)) if FULL else []
        stormy += beside_bad_ones(storm, healthy, CHANGES // BLOCKS)
    assert len(healthy.received) == len(quiet) + len(stormy)
    assert len(stormy) == CHANGES
    assert storm.get(healthy_id, "missed") == {"outages": [], "failed": [], "behind": []}
    assert {one["state"] for one in storm.get(healthy_id, "deliveries?limit=1000")} == {"delivered"}
    assert storm.queued() == 0
    healthy.close()
    if FULL:
        quiet, stormy = sorted(quiet), sorted(stormy)
        print(f"\n{CHANGES} changes; quiet: {percentiles(quiet)}; storm: {percentiles(stormy)}")
        p95 = len(quiet) * 95 // 100 - 1
        assert stormy[p95] < 2 * quiet[p95]
