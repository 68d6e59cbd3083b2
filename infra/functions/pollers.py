"""A worker process: `python -m infra.functions.pollers sync|backfill|rest`, event sources of the template."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chalicelib.store.aws import dynamo
from infra.functions import invocation
from infra.functions.queues import QueuePoller
from infra.functions.streams import StreamPoller
from infra.local import resources, settings
from infra.local.template import Schedule, Template
from infra.machine import leash
from infra.machine.state import ROOT, Home

PARTS = {"sync_account": "sync", "backfill_account": "backfill"}
REST = "rest"
CONCURRENCY = {"sync_account": 8, "backfill_account": 2, "deliver": 8, "apply_edits": 2}
WARM = (
    "app",
    "chalicelib.workers.sync",
    "chalicelib.workers.backfill",
    "chalicelib.sync.engine.run",
    "chalicelib.providers.imap.adapter",
)
FAIR = frozenset({"sync_account"})
NICENESS = 15
STORE_THREADS = 1
"""Of history: whatever else there is to do goes first."""

STOP_SECONDS = 2.5
log = logging.getLogger(__name__)


def load() -> Template:
    """Return the template with the names and ARNs of what the supervisor has created."""
    path = Path(os.environ.get("POSTERN_TEMPLATE") or ROOT / "template.yaml")
    template = Template.read(path, os.environ["POSTERN_TABLE_PREFIX"], os.environ["AWS_REGION"])
    resources.create(template)
    return template


def schedule_event(now: datetime) -> dict[str, Any]:
    """Return what EventBridge sends when a rule fires."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": os.environ["AWS_REGION"],
        "resources": [],
        "detail": {},
    }


def _tick(schedule: Schedule, stop: threading.Event) -> None:
    seconds = settings.TICK.of(os.environ, "POSTERN_TICK_SECONDS")
    if schedule.seconds > 60:  # only the minute is cut short: somebody waits for new mail
        seconds = schedule.seconds
    while not stop.wait(seconds):
        try:
            invocation.invoke(schedule.function, schedule_event(datetime.now(UTC)), schedule.timeout)
        except invocation.FunctionFailed:
            continue


def _threads(part: str, template: Template, queues: list[QueuePoller], stop: threading.Event) -> list[Any]:
    threads: list[threading.Thread] = []
    for source in template.queue_sources():
        if PARTS.get(source.function, REST) == part:
            queues.append(QueuePoller(source, stop, fair=source.function in FAIR))
            threads += queues[-1].threads(CONCURRENCY.get(source.function, 1))
    if part == "sync":
        return [*threads, *_watchers(stop)]
    if part != REST:
        return threads
    checkpoints = Home.from_env().checkpoints
    for stream in template.stream_sources():
        threads.append(StreamPoller(stream, checkpoints / f"{stream.function}.json", stop).thread())
    for schedule in template.schedules():
        threads.append(threading.Thread(target=_tick, args=(schedule, stop), daemon=True))
    return threads


def _warm() -> None:
    """Load what the first sync needs: somebody may be waiting for it."""
    for module in WARM:
        importlib.import_module(module)
    every = importlib.import_module("chalicelib.services").services()
    every.workspace.checkpoints.cursors("")


def _watchers(stop: threading.Event) -> list[threading.Thread]:
    if os.environ.get("POSTERN_WATCH") == "0":
        return []
    from infra.watcher import service  # noqa: PLC0415 mail libraries only where they are used

    return [threading.Thread(target=service.run_until, args=(stop,), name="watcher", daemon=True)]


def _yield_to_others() -> None:
    """Leave the processor, and the emulator's single thread, to whoever has something newer to do."""
    os.nice(NICENESS)
    dynamo.THREADS = STORE_THREADS


def main(part: str) -> None:
    """Work until told to stop."""
    invocation.configure_logging()
    leash.tie()
    if part == "backfill":
        _yield_to_others()
    stop = threading.Event()
    signals: list[int] = []  # setting an event in a handler could wait for the very lock it interrupts
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _: signals.append(caught))
    queues: list[QueuePoller] = []
    threads = _threads(part, load(), queues, stop)
    for thread in threads:
        thread.start()
    log.info("%s: %d threads", part, len(threads))
    if part != REST:
        _warm()
    while not signals:
        time.sleep(0.1)
    stop.set()
    end = time.monotonic() + STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    for queue in queues:
        queue.give_back()
    os._exit(0)  # calls that have not ended may be repeated; nothing waits for them


if __name__ == "__main__":
    main(sys.argv[1])
