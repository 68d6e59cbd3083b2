"""A Gmail of our own for tests: IMAP with X-GM-EXT-1 on the loopback, in a thread of its own.

It offers what Gmail offers as far as we have a use for it: CONDSTORE without QRESYNC, SPECIAL-USE and
LIST-STATUS, MOVE, UIDPLUS. Tests act on `server.store(user)` as the person at the web page does.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable

from tests.fakes.gmail_connection import PASSWORD as PASSWORD
from tests.fakes.gmail_connection import Connection
from tests.fakes.gmail_store import GmailStore

BEFORE = "IMAP4rev1 UNSELECT IDLE NAMESPACE ID CHILDREN X-GM-EXT-1 SASL-IR AUTH=PLAIN"
AFTER = "UIDPLUS ENABLE MOVE CONDSTORE LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584"


class GmailServer:
    """Accounts by user name, made when they are first asked for. A context manager.

    `atoms` sends system labels as atoms instead of quoted; `lacks` are capabilities taken away.
    """

    def __init__(self, atoms: bool = False, lacks: Iterable[str] = ()) -> None:
        self.stores: dict[str, GmailStore] = {}
        self.atoms = atoms
        self.lacks = set(lacks)
        self.commands: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    def __enter__(self) -> GmailServer:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def store(self, user: str) -> GmailStore:
        """Return the account of a user."""
        return self.stores.setdefault(user, GmailStore())

    def capabilities(self, inside: bool) -> str:
        """Return what CAPABILITY says before and after the login."""
        words = f"{BEFORE} {AFTER}" if inside else BEFORE
        return " ".join(word for word in words.split() if word not in self.lacks)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        serving = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = serving.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        serving.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await Connection(self, reader, writer).run()
        writer.close()
