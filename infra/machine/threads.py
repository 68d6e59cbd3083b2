"""Names of threads in the operating system's lists, by which the bench tells whose work it was."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

FOLLOWING, WORKING = "stream", "worker"
"""Whoever follows a stream does Lambda's own work; a worker calls our functions."""


def show_thread_as(name: str) -> None:
    """Name this thread, where that is possible (Linux); threads that it starts inherit the name."""
    with contextlib.suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name)
