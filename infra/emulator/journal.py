"""What the emulator's DynamoDB was asked to write since the last snapshot, so that a crash loses nothing.

Each request that succeeded is one record in a file: its place in the streams, its action, and its body. Doing
them again in order, beginning with what the snapshot holds, leads to the same tables and the same streams.
Files are numbered: number n holds what came after snapshot n was taken.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

_HEAD = struct.Struct(">QQHI")
"""Millisecond and number of the first stream record, lengths of action and body."""

QUEUES = "SQS."
"""Begins the actions of records that are for queues."""

_READS = ("Get", "BatchGet", "Query", "Scan", "List", "Describe")


class Journal:
    """Stands around the emulator's DynamoDB; `length` is how many requests the present file holds."""

    def __init__(self, root: Path, server: ModuleType, dynamodb: ModuleType, key: str, region: str) -> None:
        self._root, self._server = root, server
        self._place = key, region
        self._handle = dynamodb.handle_request
        self._millisecond = self._sequence = 0
        self.length = 0
        self._play_queues: Callable[[list[tuple[str, bytes]]], Awaitable[None]] | None = None
        self._open(max(self._numbers(), default=0) + 1)
        dynamodb.__dict__["handle_request"] = self._noted
        dynamodb.__dict__["_next_stream_seq"] = self._next

    def turn(self) -> int:
        """Begin a new file and return its number, which is that of the snapshot taken now."""
        os.close(self._file)
        self._open(self._number + 1)
        self.length = 0
        return self._number

    def forget_before(self, number: int) -> None:
        """Remove what a snapshot of that number holds."""
        for old in self._numbers():
            if old < number:
                self._path(old).unlink(missing_ok=True)

    async def play(self, number: int) -> None:
        """Do again what came after the snapshot of that number."""
        queues: list[tuple[str, bytes]] = []
        self._server.set_request_account_id(self._place[0])
        self._server.set_request_region(self._place[1])
        for each in (n for n in self._numbers() if number <= n < self._number):
            for millisecond, sequence, action, body in records(self._path(each)):
                if action.startswith(QUEUES):
                    queues.append((action, body))
                else:
                    await self._do_again(millisecond, sequence, action, body)
        if self._play_queues:
            await self._play_queues(queues)

    async def _do_again(self, millisecond: int, sequence: int, action: str, body: bytes) -> None:
        self._millisecond, self._sequence = millisecond, sequence
        await self._handle("POST", "/", {"x-amz-target": f"DynamoDB_20120810.{action}"}, body, {})
        self.length += 1

    async def _noted(self, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        self._millisecond = max(self._millisecond, int(time.time() * 1000))
        place = self._millisecond, self._sequence
        answer = await self._handle(method, path, headers, body, query)
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if answer[0] == 200 and not action.startswith(_READS):
            self.note(action, body, place)
        return answer

    def note(self, action: str, body: bytes, place: tuple[int, int] = (0, 0)) -> None:
        """Append a record."""
        name = action.encode()
        os.write(self._file, b"".join((_HEAD.pack(*place, len(name), len(body)), name, body)))
        self.length += 1

    def then(self, play: Callable[[list[tuple[str, bytes]]], Awaitable[None]]) -> None:
        """Have the records of queues played by somebody else, once everything is written again."""
        self._play_queues = play

    def _next(self) -> str:
        """Return the number of a stream record, the same when its request is done again."""
        self._sequence += 1
        return f"{self._millisecond:020d}{self._sequence:010d}"

    def _open(self, number: int) -> None:
        self._number = number
        self._file = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def _path(self, number: int) -> Path:
        return self._root / f"journal.{number}"

    def _numbers(self) -> list[int]:
        return sorted(int(path.suffix[1:]) for path in self._root.glob("journal.*[0-9]"))


def records(path: Path) -> Iterator[tuple[int, int, str, bytes]]:
    """Yield the whole records of a file; a crash may have cut the last one."""
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            millisecond, number, *lengths = _HEAD.unpack(head)
            action, body = (file.read(length) for length in lengths)
            if [len(action), len(body)] != lengths:
                return
            yield millisecond, number, action.decode(), body
