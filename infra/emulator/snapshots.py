"""Saves the emulator's state while it runs and when it ends, and nothing it has answered for is lost between.

A forked child writes what the memory held at that moment, as the server goes on answering. What DynamoDB is
asked to write after that moment stands in a journal and is done again at the next start. A snapshot counts
when all of it is on the disk, which one rename says; so a crash at any moment leaves a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from infra.emulator.journal import Journal

EVERY_SECONDS = 10.0
SHARE = 10  # at most a tenth of the time goes into writing

_NEW_KEY = b"TrentService.CreateKey"

App = Callable[[Any, Any, Any], Awaitable[None]]
Services = Mapping[str, Callable[[], Any]]


class Shelf:
    """The directory of the snapshots: `aws` is a link to the last whole one."""

    def __init__(self, root: Path, persistence: ModuleType) -> None:
        self._root, self._link = root, root / "aws"
        self._persistence = persistence
        if self._link.is_dir() and not self._link.is_symlink():  # of a version that knew no numbers
            self._link.rename(root / "aws.0")
        if not self._link.is_symlink() and (root / "aws.0").exists():
            self._link.symlink_to("aws.0")

    @property
    def number(self) -> int:
        """The number of the last whole snapshot, 0 if there is none."""
        return int(self._link.readlink().suffix[1:]) if self._link.is_symlink() else 0

    def save(self, services: Services, number: int) -> None:
        """Write a snapshot that counts as a whole or not at all. Raises OSError."""
        place = self._root / f"aws.{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        self._write(services, place)
        for path in [*place.iterdir(), place]:
            _flush(path)
        fresh = self._root / "aws.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(place.name)
        fresh.replace(self._link)
        _flush(self._root)

    def forget_older(self) -> None:
        """Remove what is older than the last whole snapshot."""
        for path in self._root.glob("aws.*[0-9]"):
            if int(path.suffix[1:]) < self.number:
                shutil.rmtree(path, ignore_errors=True)

    def _write(self, services: Services, place: Path) -> None:
        """Have the emulator write its files; it tells of failures only in its log."""
        wanted: set[str] = set()

        def noted(name: str, state: Callable[[], Any]) -> Callable[[], Any]:
            def get() -> Any:
                found = state()
                if found is not None:
                    wanted.add(f"{name}.json")
                return found

            return get

        self._persistence.__dict__["STATE_DIR"] = str(place)
        self._persistence.save_all({name: noted(name, state) for name, state in services.items()})
        written = {path.name for path in place.iterdir()}
        if wanted - written:
            raise OSError(f"The state could not be saved: {', '.join(sorted(wanted - written))}")
        for path in self._link.glob("*.json"):  # of services that were not asked for this time
            if path.name not in written:
                (place / path.name).hardlink_to(path)


class Snapshots:
    """Wraps the emulator's ASGI application; `lock` is the open file that keeps others from the state."""

    def __init__(self, server: ModuleType, shelf: Shelf, journal: Journal, lock: IO[str]) -> None:
        self._server = server
        self._app: App = server.app
        self._shelf, self._journal, self._lock = shelf, journal, lock
        self._child = 0
        server.__dict__["app"] = self
        server.__dict__["save_all"] = self._save_last

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve; save from time to time between start and shutdown."""
        if scope["type"] != "lifespan":
            makes_key = (b"x-amz-target", _NEW_KEY) in scope.get("headers", ())
            await self._app(scope, receive, self._saving(send) if makes_key else send)
            return
        task: asyncio.Task[None] | None = None

        async def watched() -> Any:
            message = await receive()
            if message["type"] == "lifespan.shutdown" and task:  # the server saves once more, and last
                task.cancel()
                self._end_child()
            return message

        async def sent(message: Any) -> None:
            nonlocal task
            if message["type"] == "lifespan.startup.complete":
                await self._journal.play(self._shelf.number)
                task = asyncio.create_task(self._save_often())
            await send(message)

        await self._app(scope, watched, sent)

    def _saving(self, send: Any) -> Any:
        """Return a `send` that answers when all is saved: what a lost key has sealed could never be read."""

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._end_child()
                self._save_last(self._server._build_persistence_save_dict())
            await send(message)

        return sent

    async def _save_often(self) -> None:
        pause = EVERY_SECONDS
        while True:
            await asyncio.sleep(pause)
            if not self._journal.length:
                continue
            began, number = time.monotonic(), self._journal.turn()
            self._child = os.fork()
            if not self._child:
                self._save_and_exit(number)
            await self._child_ended()
            pause = max(EVERY_SECONDS, SHARE * (time.monotonic() - began))

    async def _child_ended(self) -> None:
        """Wait for the child that saves; it may be ended by who saves more."""
        while self._child:
            ended, status = os.waitpid(self._child, os.WNOHANG)
            if ended:
                self._child = 0
            if ended and status == 0:
                self._forget_older()
            await asyncio.sleep(0.05)

    def _save_and_exit(self, number: int) -> None:
        """Write without holding open what the server may close: its clients would never hear of it.

        The lock stays: whoever starts next must not read what is being written.
        """
        status, kept = 1, self._lock.fileno()
        try:
            gc.disable()  # it would touch, and so copy, all that is shared with the parent
            os.closerange(3, kept)
            os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
            os.nice(10)
            self._shelf.save(self._server._build_persistence_save_dict(), number)
            status = 0
        finally:
            os._exit(status)

    def _save_last(self, services: Services) -> None:
        self._shelf.save(services, self._journal.turn())
        self._forget_older()

    def _forget_older(self) -> None:
        self._shelf.forget_older()
        self._journal.forget_before(self._shelf.number)

    def _end_child(self) -> None:
        if self._child:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._child, signal.SIGKILL)
                os.waitpid(self._child, 0)
            self._child = 0


def _flush(path: Path) -> None:
    """Return when a file or directory is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
