"""All watches: begun and ended as accounts come to and go from the poll list."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import threading
from collections import Counter

from infra.watcher.backoff import Backoff
from infra.watcher.gate import Gate
from infra.watcher.limits import Limits
from infra.watcher.outbox import Outbox
from infra.watcher.store import Store
from infra.watcher.watch import State, Station, Watch

REPORT_SECONDS = 60.0
UNLIMITED = 1_000_000
SPARE_DESCRIPTORS = 200  # for AWS, logins under way and the process itself
STOP_LOOK_SECONDS = 0.2

log = logging.getLogger(__name__)


class Watcher:
    """The whole watcher on one event loop; `run` until cancelled."""

    def __init__(self, limits: Limits, capacity: int | None = None) -> None:
        loop = asyncio.get_running_loop()
        store = Store()
        outbox = Outbox(store.enqueue, Backoff(1.0, 30.0))
        self._station = Station(store=store, gate=Gate(limits, loop.time), outbox=outbox, limits=limits)
        self._capacity = capacity or _open_files()
        self._watches: dict[str, tuple[Watch, asyncio.Task[None]]] = {}
        self._listed: dict[str, int] = {}

    async def run(self) -> None:
        """Watch every account of the poll list."""
        station = self._station
        try:
            async with asyncio.TaskGroup() as group:
                for work in (station.gate.run(), station.outbox.run(), self._follow(), self._report()):
                    group.create_task(work)
        finally:
            for id in list(self._watches):
                self._end(id)
            station.store.close()

    def states(self) -> Counter[State]:
        """Count the watches by state."""
        return Counter(watch.state for watch, _ in self._watches.values())

    @property
    def sent(self) -> int:
        """How many syncs were asked for so far."""
        return self._station.outbox.sent

    async def _follow(self) -> None:
        while True:
            try:
                listed = await self._station.store.listed()
                self._adjust(listed)
                await self._renew(listed)
            except Exception as error:  # the edge: what is watched stays watched until the store is back
                log.warning("the poll list cannot be read: %s", error)
            await asyncio.sleep(self._station.limits.list_seconds)

    def _adjust(self, listed: dict[str, int]) -> None:
        for gone in self._watches.keys() - listed.keys():
            self._end(gone)
        new = sorted(listed.keys() - self._watches.keys())
        room = max(0, self._capacity - len(self._watches))
        if len(new) > room:
            log.warning("%d accounts are only polled: the limit of open files is too low", len(new) - room)
        for id in new[:room]:
            self._begin(id)

    async def _renew(self, listed: dict[str, int]) -> None:
        """Begin anew where the credentials have changed; connecting an account makes it active."""
        self._listed = {id: self._listed.get(id, active_at) for id, active_at in listed.items()}
        for id in [id for id in self._watches if self._listed[id] != listed[id]]:
            if await self._watches[id][0].is_outdated():
                self._end(id)
                self._begin(id)
            self._listed[id] = listed[id]

    def _begin(self, id: str) -> None:
        watch = Watch(id, self._station)
        self._watches[id] = watch, asyncio.create_task(watch.run(), name=f"watch-{id[:8]}")

    def _end(self, id: str) -> None:
        self._watches.pop(id)[1].cancel()

    async def _report(self) -> None:
        """Tell how many watches there are whenever that has changed."""
        told = ""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            counted = ", ".join(
                f"{count} {state.value}" for state, count in sorted(self.states().items(), key=str)
            )
            if counted != told:
                log.info("watches: %s; %d syncs asked for", counted or "none", self.sent)
            told = counted


def run_until(stop: threading.Event) -> None:
    """Run a watcher in a thread until the event is set; for the local runtime."""
    while not stop.is_set():
        try:
            asyncio.run(_until(stop))
        except Exception:  # the edge of a thread that nobody would start again
            log.exception("the watcher begins anew")
            stop.wait(STOP_LOOK_SECONDS)


async def _until(stop: threading.Event) -> None:
    work = asyncio.create_task(Watcher(Limits.from_env()).run())
    while not stop.is_set() and not work.done():
        await asyncio.sleep(STOP_LOOK_SECONDS)
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


def _open_files() -> int:
    """Return how many connections this process may hold, after asking for all it can get."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else max(1, soft - SPARE_DESCRIPTORS)
