"""A watcher in a process of its own: `python -m tests.integration.watcher_process PORT COUNT TLS`.

Prints JSON: its memory before the first and after the last connection, in bytes. Then, for each line
on standard input, how many syncs each account has asked for, as {times: accounts}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from infra.watcher.watch import State
from tests.integration.watching import HASTY, Scene, eventually, watching

LIMITS = replace(HASTY, turn_seconds=300, answer_seconds=30, longest_wait=5)


def memory() -> int:
    """Return the resident set of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def main(port: int, count: int, *, tls: bool) -> None:
    """Watch `count` accounts of the server on that port."""
    scene = Scene()
    scene.mailboxes.tls_required = tls
    async with watching(scene, LIMITS) as watcher:
        await asyncio.sleep(0.1)
        before = memory()
        for number in range(count):
            scene.connect(f"account{number}", port)
        await eventually(lambda: watcher.states() == {State.WATCHING: count}, seconds=300)
        await eventually(lambda: len(scene.asked()) == count)
        print(json.dumps({"before": before, "after": memory()}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(Counter(scene.asked().values())), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), tls=sys.argv[3] == "tls"))
