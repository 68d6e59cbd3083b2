"""What is left of an earlier run whose supervisor was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable

from infra.machine.processes import LAST, LAST_STOP_SECONDS, STOP_SECONDS
from infra.machine.state import Home, read_json

LOOK_SECONDS = 0.05


def end(home: Home) -> list[str]:
    """End every process of this home that still runs; return the names. Only for who holds its lock."""
    left = {name: int(pid) for name, pid in (read_json(home.children) or {}).items() if is_ours(pid, home)}
    for pid in left.values():
        _send(pid, signal.SIGTERM)
    _await((pid for name, pid in left.items() if name != LAST), home, STOP_SECONDS)
    _await((pid for name, pid in left.items() if name == LAST), home, LAST_STOP_SECONDS)
    home.children.unlink(missing_ok=True)
    return sorted(left)


def is_ours(pid: int, home: Home) -> bool:
    """Tell whether a process runs and is one of this home: its number may have been given away."""
    if pid == os.getpid():
        return False
    command = ["ps", "-ww", "-o", "stat=,command=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return not shown.startswith("Z") and "infra." in shown and shown.endswith(f" {home.path}")


def _await(pids: Iterable[int], home: Home, seconds: float) -> None:
    """Return when these have ended; kill who has not after that time."""
    until = time.monotonic() + seconds
    for pid in pids:
        while is_ours(pid, home):
            if time.monotonic() > until:
                _send(pid, signal.SIGKILL)
            time.sleep(LOOK_SECONDS)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
