"""Reads what the local emulator has counted (POSTERN_COUNT_UNITS=1)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import urllib3

from infra.bench.figures import wait_for

Units = dict[str, float]
Choice = Callable[[list[float]], float]


class Counter:
    """DynamoDB's units, all tables together."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._url = info["aws_endpoint_url"] + "/_postern/units"
        self._headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={info['aws_access_key_id']}/"}
        self._http = urllib3.PoolManager()

    def totals(self) -> Units:
        """Return the units consumed so far."""
        tables = self._http.request("GET", self._url, headers=self._headers).json()
        return {kind: sum(table[kind] for table in tables.values()) for kind in ("write", "read")}

    def settled(self, seconds: float) -> Units:
        """Return the totals once they have stood still that long."""
        found, since = self.totals(), time.monotonic()
        while time.monotonic() - since < seconds:
            time.sleep(0.05)
            if (fresh := self.totals()) != found:
                found, since = fresh, time.monotonic()
        return found

    def cost(self, act: Callable[[], object], still: float) -> Units:
        """Return what an operation consumes with all that follows, up to `still` seconds without a unit."""
        before = self.settled(still)
        act()
        wait_for(lambda: self.totals() != before, seconds=60)
        after = self.settled(still)
        return {kind: after[kind] - before[kind] for kind in before}

    def least(self, act: Callable[[], object], still: float, rounds: int) -> Units:
        """Return what an operation costs when nothing falls between its parts."""
        return self._over(act, still, rounds, min)

    def median(self, act: Callable[[], object], still: float, rounds: int) -> Units:
        """Return the usual cost of an operation."""
        return self._over(act, still, rounds, statistics.median)

    def _over(self, act: Callable[[], object], still: float, rounds: int, choose: Choice) -> Units:
        costs = [self.cost(act, still) for _ in range(rounds)]
        return {kind: choose([cost[kind] for cost in costs]) for kind in costs[0]}
