"""The socket below a conversation in IMAP."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

Secure = Callable[[socket.socket], ssl.SSLSocket]


class Connection:
    """What `Wire` reads from and sends on."""

    def __init__(self, sock: socket.socket, secured: bool) -> None:
        self.sock = sock
        self.secured = secured
        self.file = sock.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        self.sock.sendall(data)

    def secure(self, secure: Secure) -> None:
        """Put the rest under TLS; what came ahead in clear text is never read. Raises OSError."""
        self.sock = secure(self.sock)
        self.file, self.secured = self.sock.makefile("rb"), True

    def shutdown(self) -> None:
        """Hang up; never raises."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.file.close()
            self.sock.close()
