"""The watcher as a process of its own: `python -m infra.watcher`; see docs/watcher.md."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys

from chalicelib import logs
from infra.watcher.limits import Limits
from infra.watcher.service import Watcher

log = logging.getLogger("infra.watcher")


async def watch() -> None:
    """Watch until SIGTERM or SIGINT."""
    work = asyncio.create_task(Watcher(Limits.from_env()).run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    log.info("watching")
    with contextlib.suppress(asyncio.CancelledError):
        await work


def main() -> None:
    """Log to standard output, where every container host looks, and watch."""
    logging.basicConfig(
        level=os.environ.get("POSTERN_LOG_LEVEL", "INFO"),
        stream=sys.stdout,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logs.quiet_libraries()
    asyncio.run(watch())
    os._exit(0)  # a login that hangs in a thread keeps nobody waiting


if __name__ == "__main__":
    main()
