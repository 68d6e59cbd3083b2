"""What a mail server sends, within limits of time and size for each of its answers."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chalicelib import bounds
from chalicelib.clock import Clock
from chalicelib.providers.imap.protocol.compress import Inflater

_PIECE = 65_536


class Inflow(io.RawIOBase):
    """A stream to be read through a BufferedReader; every failure is an OSError.

    `most` octets may come altogether until the server is trusted, 0 if it is; `left` may still come now.
    """

    def __init__(self, source: Any, now: Clock = time.monotonic, most: int = 0) -> None:
        super().__init__()
        self._most = most
        self.left = most
        self._source = source
        self._now = now
        self._inflater: Inflater | None = None
        self._held = False
        self.expect_answer()

    def expect_answer(self) -> None:
        """Begin to count anew."""
        self._begun, self._received = self._now(), 0
        if not self._most:
            self.left = bounds.ANSWER_BYTES

    def trust(self) -> None:
        """Count octets by the answer from now on, not altogether."""
        self._most = 0
        self.expect_answer()

    def inflate(self, ahead: bytes) -> None:
        """From here on the server compresses; `ahead` of it was received already."""
        first = iter([ahead] if ahead else [])
        self._inflater = Inflater(lambda: next(first, b"") or bytes(self._source.read1(_PIECE)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Receive nothing meanwhile."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, target: Any) -> int:
        """Fill a part of `target` with what is there, waiting only if nothing is."""
        if self._held:
            return 0
        if self._now() - self._begun > self._patience():
            raise TimeoutError("an answer took too long")
        size = self._read(memoryview(target)[:_PIECE])
        self._received += size
        self.left -= size
        if self.left < 0:
            raise OSError("an answer does not end")
        return size

    def _patience(self) -> float:
        """Return how long the answer may take: a server that sends much may go on, one that drips may not."""
        earned = bounds.ANSWER_SECONDS + self._received / bounds.ANSWER_BYTES_A_SECOND
        return min(earned, bounds.LONGEST_ANSWER_SECONDS)

    def _read(self, target: memoryview) -> int:
        if self._inflater is None:
            return int(self._source.readinto1(target) or 0)
        data = self._inflater.inflate(len(target))
        target[: len(data)] = data
        return len(data)
