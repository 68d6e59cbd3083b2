"""The line to a mail server that the bench and the tests of faults speak over."""

from __future__ import annotations

import socket

import pytest

from infra.bench.link import Link


def test_a_line_with_open_connections_is_given_up_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with (
            Link(server.getsockname()[1]) as link,
            socket.create_connection(("127.0.0.1", link.port)) as mine,
        ):
            connection, _ = server.accept()
            mine.sendall(b"a")
            assert connection.recv(1) == b"a"
        connection.close()
    assert caplog.records == []
