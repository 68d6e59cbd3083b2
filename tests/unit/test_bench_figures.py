"""What the bench measures with."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from infra.bench.figures import cpu_seconds, thread_seconds
from infra.functions.lanes import Lanes
from infra.machine.threads import FOLLOWING, WORKING, show_thread_as

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")


def test_the_time_of_threads_is_told_by_their_name() -> None:
    seconds: list[float] = []

    def work() -> None:
        show_thread_as(FOLLOWING)
        while time.thread_time() < 0.1:
            pass
        seconds.append(thread_seconds(os.getpid(), FOLLOWING))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert 0.05 <= seconds[0] <= cpu_seconds([os.getpid()])
    assert thread_seconds(os.getpid(), "nobody") == 0


def test_what_a_function_does_with_records_is_not_the_work_of_who_follows_the_stream() -> None:
    names: list[str] = []

    def work(records: list[dict[str, Any]]) -> bool:
        names.append(Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text().strip())
        return True

    def follow() -> None:
        show_thread_as(FOLLOWING)
        stop = threading.Event()
        lanes = Lanes(work, lambda _: None, 10, stop)
        lanes.start("f", 1)
        lanes.put([{"dynamodb": {"Keys": {"pk": {"S": "a"}}, "SequenceNumber": "1"}}], "1")
        lanes.drain()
        stop.set()

    thread = threading.Thread(target=follow)
    thread.start()
    thread.join()
    assert names == [WORKING]
