"""One HTTP request to an IP address that was checked, with the host's name in TLS and in Host."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from chalicelib import bounds
from chalicelib.clock import Deadline
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.errors import ProviderError
from chalicelib.providers.network.client import Target, retry_after
from chalicelib.providers.network.tls import web_context

CONNECT_SECONDS = 3.0

_FAILURES = (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError)


def request(
    method: str, target: Target, body: bytes, headers: Mapping[str, str], deadline: Deadline
) -> HttpResponse:
    """Make one request. Raises ProviderError if there is no answer in time."""
    connection = _connected(target, deadline)
    try:
        with _cut_off(connection, deadline):
            return _exchange(connection, method, target, body, headers)
    except _FAILURES as error:
        late = "not in time" if deadline.passed() else type(error).__name__
        raise ProviderError(f"{target.host} does not answer: {late}.") from error
    finally:
        connection.close()


def _connected(target: Target, deadline: Deadline) -> HTTPConnection:
    """Connect to the first of the addresses that can be reached; nothing has been sent so far."""
    failure: Exception = ProviderError("no address")
    for number, address in enumerate(target.addresses, 1):
        left = deadline.left()
        if not left:
            break
        patience = left if number == len(target.addresses) else min(CONNECT_SECONDS, left)
        connection = _connection(target, address, patience)
        try:
            connection.connect()
        except _FAILURES as error:
            connection.close()
            failure = error
        else:
            return connection
    raise ProviderError(f"{target.host} cannot be reached: {_said(failure)}.") from failure


def _connection(target: Target, address: str, seconds: float) -> HTTPConnection:
    if not target.secure:
        return HTTPConnection(address, target.port, timeout=seconds)
    return HTTPSConnection(
        address,
        target.port,
        timeout=seconds,
        cert_reqs="CERT_REQUIRED",
        ssl_context=web_context(),
        server_hostname=target.host,
        assert_hostname=target.host,
    )


def _exchange(
    connection: HTTPConnection, method: str, target: Target, body: bytes, headers: Mapping[str, str]
) -> HttpResponse:
    connection.request(
        method,
        target.path,
        body=body or None,
        headers={"User-Agent": "postern", **headers, "Host": target.netloc, "Connection": "close"},
        preload_content=False,
        decode_content=False,
    )
    response = connection.getresponse()
    asked = retry_after(response.headers.get("Retry-After"), time.time())
    return HttpResponse(response.status, _read(response), asked)


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    """Read what we care for."""
    body = b""
    while len(body) < bounds.WEBHOOK_RESPONSE_BYTES and (
        chunk := response.read1(bounds.WEBHOOK_RESPONSE_BYTES - len(body))
    ):
        body += chunk
    return body


@contextmanager
def _cut_off(connection: HTTPConnection, deadline: Deadline) -> Iterator[None]:
    """End the connection at the deadline, however slowly its server drips; timeouts are per read."""
    timer = threading.Timer(deadline.left(), _shut, [connection.sock])
    timer.daemon = True
    timer.start()
    try:
        yield
        if deadline.passed():
            raise TimeoutError
    finally:
        timer.cancel()


def _shut(sock: socket.socket | None) -> None:
    if sock is not None:
        with suppress(OSError):
            # Not SSLSocket's own shutdown: that one takes the TLS object away from its reader.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _said(error: Exception) -> str:
    cause = error.__cause__ or error.__context__ or error
    return type(cause).__name__ if isinstance(error, urllib3.exceptions.HTTPError) else type(error).__name__
