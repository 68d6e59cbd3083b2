"""The HTTP and HTTPS server in front of app.py: `python -m infra.gateway.front HTTP HTTPS`.

HTTP and HTTPS are the numbers of open sockets, which the supervisor holds: nobody else can take them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import uvicorn

import app as application
from chalicelib.errors import InvalidRequest
from infra.functions import invocation
from infra.gateway import gateway
from infra.gateway.answering import Answering, Apart, refused
from infra.machine import leash
from infra.machine.gathering import GatheringProtocol
from infra.machine.ports import HOST
from infra.machine.state import Home

THREADS, WAITING_THREADS = 16, 200
STREAM_TIMEOUT = 900
LARGE_BYTES = 256 * 1024
"""Of a body that is worth a process."""

STREAM = "/delta/streaming"
WAITING = frozenset({"/delta/longpoll"})
"""Routes whose requests mostly wait; they have threads of their own, so that others need not."""

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]
Stream = Callable[[dict[str, Any], Any], Any]


class Front:
    """The ASGI application: answers each request in a thread, or in a process if it is large."""

    def __init__(self, answering: Answering, stream: Stream) -> None:
        self._answering = answering
        self._stream = stream
        self._pool = ThreadPoolExecutor(THREADS, "api")
        self._waiting = ThreadPoolExecutor(WAITING_THREADS, "waiting")
        self._apart = Apart()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        body = await _read(receive)
        if body is None:
            answer = refused(scope["method"], scope["raw_path"], 413, "The request is too large.")
            await _write(send, answer, empty=False)
            return
        request = _request(scope, body)
        route = self._answering.match(request.path)
        if route and route.resource == STREAM and request.method == "GET":
            await self._send_stream(self._answering.event(request, route), receive, send)
            return
        answer = await self._answer(request, waits=route is not None and route.resource in WAITING)
        await _write(send, answer, empty=scope["method"] == "HEAD")

    async def _answer(self, request: gateway.Request, *, waits: bool) -> gateway.Answer:
        if len(request.body) > LARGE_BYTES and not waits:
            try:
                return await asyncio.wrap_future(self._apart.submit(request))
            except BrokenProcessPool:
                return refused(
                    request.method, request.path.encode(), 502, "The request could not be answered."
                )
        pool = self._waiting if waits else self._pool
        return await asyncio.get_running_loop().run_in_executor(pool, self._answering.respond, request)

    async def _send_stream(self, event: dict[str, Any], receive: Receive, send: Send) -> None:
        """Send each piece when it comes, from a thread; stop when the client has gone."""
        loop, gone = asyncio.get_running_loop(), threading.Event()
        watcher = asyncio.create_task(_until_gone(receive, gone))

        def pieces() -> None:
            answer = self._stream(event, invocation.context("StreamDeltas", STREAM_TIMEOUT))
            with contextlib.closing(answer.body):
                for message in gateway.streamed(answer):
                    asyncio.run_coroutine_threadsafe(send(message), loop).result()
                    if gone.is_set():
                        return

        try:
            await loop.run_in_executor(self._waiting, pieces)
        finally:
            watcher.cancel()


async def _until_gone(receive: Receive, gone: threading.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


def _request(scope: Message, body: bytes) -> gateway.Request:
    return gateway.Request(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1").partition("?")[0],
        query=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        body=body,
        client=(scope.get("client") or [HOST])[0],
    )


async def _read(receive: Receive) -> bytes | None:
    """Return the body, None if it is too large."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > gateway.MAX_BODY:
            return None
    return bytes(body)


async def _write(send: Send, answer: gateway.Answer, empty: bool) -> None:
    headers = [(n.lower().encode(), v.encode("latin-1", "replace")) for n, v in answer.headers]
    headers = [pair for pair in headers if pair[0] != b"content-length"]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if empty else answer.body})


class _Protocol(GatheringProtocol):
    """Refuses what is no HTTP, or has a method nobody knows, in the API's own words."""

    def send_400_response(self, msg: str) -> None:
        """Answer and hang up."""
        log.info("what is no HTTP request 400")
        body = InvalidRequest("This is no HTTP request that we understand.").body()
        data = json.dumps(body).encode()
        head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        self.transport.close()


class _Server(uvicorn.Server):  # type: ignore[misc]  # mypy does not follow uvicorn
    """A server whose signals are handled once, for both."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(http: socket.socket, https: socket.socket, home: Home) -> None:
    """Serve on both sockets until SIGTERM or SIGINT."""
    front = Front(Answering(application.app), application.stream_deltas)
    certificate = str(home.certificate)
    servers = [
        _Server(_config(front)),
        _Server(_config(front, ssl_certfile=certificate, ssl_keyfile=certificate)),
    ]

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.gather(*(server.serve([each]) for server, each in zip(servers, (http, https), strict=True)))


def _config(front: Front, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        front,
        http=_Protocol,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        **more,
    )


if __name__ == "__main__":
    invocation.configure_logging()
    leash.tie()
    opened = [socket.socket(fileno=int(number)) for number in sys.argv[1:3]]
    asyncio.run(serve(opened[0], opened[1], Home.from_env()))
    os._exit(0)  # threads that still answer somebody who has gone need not be waited for
