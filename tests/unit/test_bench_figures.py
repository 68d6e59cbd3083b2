"""What the bench measures with."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from infra.bench.figures import cpu_seconds, thread_seconds
from infra.local import streams

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")


def test_the_time_of_threads_is_told_by_their_name() -> None:
    seconds: list[float] = []

    def work() -> None:
        streams.show_thread_as(streams.THREAD)
        while time.thread_time() < 0.1:
            pass
        seconds.append(thread_seconds(os.getpid(), streams.THREAD))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert 0.05 <= seconds[0] <= cpu_seconds([os.getpid()])
    assert thread_seconds(os.getpid(), "nobody") == 0
