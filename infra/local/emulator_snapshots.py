"""Saves the emulator's state while it runs, so that a crash costs seconds and not the session.

A forked child writes what the memory held at that moment, as the server goes on answering.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

EVERY_SECONDS = 10.0
SHARE = 10  # at most a tenth of the time goes into writing

App = Callable[[Any, Any, Any], Awaitable[None]]


class Snapshots:
    """Wraps the emulator's ASGI application."""

    def __init__(self, server: ModuleType, dynamodb: ModuleType) -> None:
        self._server = server
        self._app: App = server.app
        self._writes = 0
        self._child = 0
        for name in ("_set_item", "_remove_item"):
            dynamodb.__dict__[name] = self._counted(getattr(dynamodb, name))
        server.__dict__["app"] = self

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self._writes += 1
            return function(*arguments)

        return counted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve; save from time to time between start and shutdown."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        task: asyncio.Task[None] | None = None

        async def watched() -> Any:
            nonlocal task
            message = await receive()
            if message["type"] == "lifespan.startup":
                task = asyncio.create_task(self._save_often())
            elif task:  # the server saves once more, and must do so last
                task.cancel()
                self._end_child()
            return message

        await self._app(scope, watched, send)

    async def _save_often(self) -> None:
        saved, pause = 0, EVERY_SECONDS
        while True:
            await asyncio.sleep(pause)
            if saved == self._writes:
                continue
            saved, began = self._writes, time.monotonic()
            self._child = os.fork()
            if not self._child:
                self._save_and_exit()
            while not os.waitpid(self._child, os.WNOHANG)[0]:
                await asyncio.sleep(0.05)
            self._child = 0
            pause = max(EVERY_SECONDS, SHARE * (time.monotonic() - began))

    def _save_and_exit(self) -> None:
        """Write without holding open what the server may close: its clients would never hear of it."""
        try:
            gc.disable()  # it would touch, and so copy, all that is shared with the parent
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            os.nice(10)
            self._server.save_all(self._server._build_persistence_save_dict())
        finally:
            os._exit(0)

    def _end_child(self) -> None:
        if self._child:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._child, signal.SIGKILL)
                os.waitpid(self._child, 0)
            self._child = 0
