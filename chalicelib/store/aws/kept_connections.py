"""POST over connections that are kept open, at a fraction of http.client's processor time.

httptools reads the answers; http.client would have their headers parsed as those of a mail.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from botocore.httpsession import get_cert_path
from httptools import HttpParserError, HttpResponseParser

_PIECE = 262_144


class Connections:
    """Connections to one endpoint, shared by the threads of a process.

    `config` is botocore's: its timeouts hold, for connecting and for each wait for an answer.
    """

    def __init__(self, url: str, config: Any) -> None:
        self._place = urlsplit(url)
        self._config = config
        self._tls = _tls() if self._place.scheme == "https" else None
        self._idle: deque[_Connection] = deque()
        self.host = self._place.netloc

    def post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Return status and body. Raises OSError."""
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"POST / HTTP/1.1\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n"
        request = head.encode("latin-1") + body
        while True:
            connection, reused = self._connection()
            try:
                answer = connection.exchange(request)
            except (OSError, HttpParserError) as error:
                connection.close()
                # The server may close what lay idle; a timeout tells of something worse.
                if reused and not isinstance(error, TimeoutError):
                    continue
                raise error if isinstance(error, OSError) else ConnectionError(str(error)) from error
            if connection.usable:
                self._idle.append(connection)
            else:
                connection.close()
            return answer

    def _connection(self) -> tuple[_Connection, bool]:
        """Return a connection, and whether it has been used before."""
        try:
            return self._idle.pop(), True
        except IndexError:
            return _Connection(self._opened()), False

    def _opened(self) -> socket.socket:
        place, config = self._place, self._config
        opened = socket.create_connection((_host(place), _port(place)), config.connect_timeout)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                opened = self._tls.wrap_socket(opened, server_hostname=_host(place))
            opened.settimeout(config.read_timeout)
        except BaseException:
            opened.close()
            raise
        return opened


class _Connection:
    """An open connection; `usable` unless the last answer was its end. httptools calls the `on_` methods."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._parser = HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._ended = False
        self.usable = True

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return status and body of its answer. Raises OSError, HttpParserError."""
        self.usable = self._ended = False
        self._pieces.clear()
        self._socket.sendall(request)
        while not self._ended:
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise ConnectionResetError("The connection was closed before the answer ended.")
            self._parser.feed_data(piece)
        return self._parser.get_status_code(), b"".join(self._pieces)

    def close(self) -> None:
        """Close it; nobody waits for that."""
        self._socket.close()

    def on_message_begin(self) -> None:
        """Called at the first byte of an answer."""
        if self._ended:
            raise ConnectionError("An answer came that nobody had asked for.")

    def on_body(self, piece: bytes) -> None:
        """Called with each piece of a body."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Called at the end of an answer."""
        self._ended = True
        self.usable = self._parser.should_keep_alive()


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True))


def _host(place: SplitResult) -> str:
    return place.hostname or ""


def _port(place: SplitResult) -> int:
    return place.port or (443 if place.scheme == "https" else 80)
