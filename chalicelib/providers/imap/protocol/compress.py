"""COMPRESS=DEFLATE (RFC 4978): both directions of a connection, each one endless raw deflate stream."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Callable

CAPABILITY = "COMPRESS=DEFLATE"
COMMAND = b"COMPRESS DEFLATE"

_RAW = -zlib.MAX_WBITS  # without zlib's header (RFC 4978 section 3)
_SMALL = 5  # memLevel: commands are short, 16 KB do


def is_far(address: str) -> bool:
    """Tell whether octets on the way to an address are worth the processor time: not on this machine."""
    return not ipaddress.ip_address(address.partition("%")[0]).is_loopback


class Deflater:
    """What we send; every piece is flushed, so that the server can read it at once."""

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._engine = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, _RAW, _SMALL)

    def send(self, data: bytes) -> None:
        """Send these octets. Raises OSError."""
        self._send(self._engine.compress(data) + self._engine.flush(zlib.Z_SYNC_FLUSH))


class Inflater:
    """What the server sends; no more is inflated at a time than somebody asks for."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._engine = zlib.decompressobj(_RAW)

    def inflate(self, most: int) -> bytes:
        """Return some octets, b"" at the end of the stream. Raises OSError if they are no deflate stream."""
        packed = self._engine.unconsumed_tail  # even without a tail the engine may hold something back
        try:
            while not (data := self._engine.decompress(packed, most)):
                packed = b"" if self._engine.eof else self._read()
                if not packed:
                    return b""
        except zlib.error as error:
            raise OSError(f"the compressed stream is broken ({error})") from error
        return data
