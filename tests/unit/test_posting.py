"""POST over kept connections, against a server that says what the test tells it, byte for byte."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from chalicelib.store.aws.kept_connections import Connections

Script = list[list[bytes]]
"""For each connection its answers; after the last one the server hangs up."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CLOSING = b"HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\n yo\r\n0\r\n\r\n"


class Server:
    """Answers byte by byte if `slow`."""

    def __init__(self, script: Script, *, slow: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self._script, self._slow, self._tls = iter(script), slow, tls
        self.asked: list[bytes] = []
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        for answers in self._script:
            connection, _ = self._listening.accept()
            self.connections += 1
            if self._tls:
                try:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                except ssl.SSLError:
                    continue
            with connection:
                for answer in answers:
                    self.asked.append(connection.recv(65_536))
                    self._send(connection, answer)

    def _send(self, connection: socket.socket, answer: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in [answer[n : n + 1] for n in range(len(answer))] if self._slow else [answer]:
            connection.sendall(piece)
            time.sleep(0.0001 if self._slow else 0)

    def close(self) -> None:
        """Free the port."""
        self._listening.close()


@pytest.fixture
def made() -> Iterator[list[Server]]:
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.close()


def serving(made: list[Server], script: Script, *, slow: bool = False) -> tuple[Server, Connections]:
    made.append(Server(script, slow=slow))
    config = SimpleNamespace(connect_timeout=2, read_timeout=2)
    return made[-1], Connections(made[-1].url, config)


def test_a_request_is_what_was_asked_for(made: list[Server]) -> None:
    server, connections = serving(made, [[OK]])
    assert connections.post({"Host": "h", "X-Amz-Target": "t"}, b"{}") == (200, b"hi")
    assert server.asked == [b"POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: t\r\nContent-Length: 2\r\n\r\n{}"]


@pytest.mark.parametrize("slow", [False, True])
def test_answers_come_whole_in_whatever_pieces(made: list[Server], slow: bool) -> None:
    server, connections = serving(made, [[OK, CHUNKED, OK]], slow=slow)
    found = [connections.post({}, b"") for _ in range(3)]
    assert found == [(200, b"hi"), (200, b"hello yo"), (200, b"hi")]
    assert server.connections == 1


def test_a_connection_that_ends_with_its_answer_is_not_used_again(made: list[Server]) -> None:
    server, connections = serving(made, [[CLOSING], [OK]])
    assert [connections.post({}, b"") for _ in range(2)] == [(500, b"no"), (200, b"hi")]
    assert server.connections == 2


@pytest.mark.parametrize("answer", [b"220 smtp.example ESMTP\r\n", OK[:-1], OK + OK, b""])
def test_what_is_no_answer_is_an_error(made: list[Server], answer: bytes) -> None:
    server, connections = serving(made, [[answer], [OK]])
    with pytest.raises(OSError):
        connections.post({}, b"")
    assert connections.post({}, b"") == (200, b"hi") and server.connections == 2


def test_tls_trusts_the_named_bundle_and_nobody_else(
    made: list[Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    made.append(Server([[OK, CHUNKED], [OK]], tls=context))
    config = SimpleNamespace(connect_timeout=2, read_timeout=2)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    trusting = Connections(made[-1].url, config)
    assert [trusting.post({}, b"") for _ in range(2)] == [(200, b"hi"), (200, b"hello yo")]
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(ssl.SSLCertVerificationError):
        Connections(made[-1].url, config).post({}, b"")


def test_silence_ends_with_a_timeout_also_on_a_kept_connection(made: list[Server]) -> None:
    server, connections = serving(made, [[OK, b"HTTP/1.1 200 OK\r\n", b""]])
    connections._config.read_timeout = 0.05
    connections.post({}, b"")
    with pytest.raises(TimeoutError):
        connections.post({}, b"")
    assert server.connections == 1
