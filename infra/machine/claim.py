"""One system at a time in one home."""

from __future__ import annotations

from typing import IO

from infra.machine import leftovers, locks
from infra.machine.processes import say
from infra.machine.state import Home
from infra.machine.trouble import CannotStart

LOCK_SECONDS = 1.0


def claim(home: Home) -> IO[str]:
    """Return the lock of a home, once what a killed supervisor has left is ended. Raises CannotStart."""
    try:
        lock = locks.take(home.lock, LOCK_SECONDS)
    except locks.Taken as taken:
        raise CannotStart(f"Postern runs already in {home.path} (process {taken.holder}).") from None
    ended = leftovers.end(home)
    if ended:
        say(f"Ended what was left of an earlier run: {', '.join(ended)}.")
    home.info.unlink(missing_ok=True)
    return lock
