"""Small measuring tools: percentiles, processor time, repeated requests."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_OWN, _WITH_CHILDREN = slice(11, 13), slice(11, 15)
"""User and system time among the fields of /proc/*/stat behind the name."""


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user and system time of processes and of their ended children."""
    return sum(_ticks(Path(f"/proc/{pid}/stat")) for pid in pids) / _TICKS


def thread_seconds(pid: int, name: str) -> float:
    """Return user and system time of those threads of a process that bear a name."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(_ticks(task / "stat", _OWN) for task in tasks if _name(task) == name) / _TICKS


def descendants(pid: int) -> list[int]:
    """Return a process and everything below it."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    children = [int(child) for child in path.read_text().split()] if path.exists() else []
    return [pid, *(below for child in children for below in descendants(child))]


def peak_memory(pid: int) -> float:
    """Return the most memory a process ever held, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p90, p95 and p99 in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {f"p{cut}": round(cuts[cut - 1] * 1000, 1) for cut in (50, 90, 95, 99)}


def timed(call: Callable[[str], object], arguments: Iterable[str], clients: int) -> list[float]:
    """Return the seconds each call took, made by that many clients at once."""

    def one(argument: str) -> float:
        began = time.perf_counter()
        call(argument)
        return time.perf_counter() - began

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(one, arguments))


def wait_for(probe: Callable[[], bool], seconds: float = 600.0, pause: float = 0.02) -> float:
    """Return the seconds until the probe says yes. Raises TimeoutError."""
    began = time.perf_counter()
    while not probe():
        if time.perf_counter() - began > seconds:
            raise TimeoutError("the state that is waited for did not come")
        time.sleep(pause)
    return time.perf_counter() - began


def _name(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except FileNotFoundError:
        return ""


def _ticks(stat: Path, times: slice = _WITH_CHILDREN) -> int:
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(int(field) for field in fields[times])
