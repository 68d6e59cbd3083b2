"""Locks between processes: the kernel gives them back when their holder ends, whatever ends it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

LOOK_SECONDS = 0.1


class Taken(Exception):
    """Somebody else holds the lock; `holder` is the process that wrote its number there, 0 if none did."""

    def __init__(self, path: Path, holder: int) -> None:
        super().__init__(f"{path} is held by process {holder}.")
        self.holder = holder


def take(path: Path, seconds: float = 0.0) -> IO[str]:
    """Return the open file that holds the lock until it is closed. Raises Taken after so many seconds."""
    end = time.monotonic() + seconds
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    while not _locked(file):
        if time.monotonic() >= end:
            holder = file.read().strip()
            file.close()
            raise Taken(path, int(holder) if holder.isdigit() else 0)
        time.sleep(LOOK_SECONDS)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
