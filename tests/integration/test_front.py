"""The local front: streams leave piece by piece, and those who wait do not keep others waiting."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from chalicelib.api.deltas.streaming import Answer, Body
from infra.gateway import answering, gateway
from infra.gateway import front as fronts
from infra.gateway.answering import Answering
from infra.gateway.front import Front, Message
from infra.local.template import Template
from infra.machine.state import ROOT

ROUTES = {"/delta/streaming": {"GET": 1}, "/delta/longpoll": {"GET": 1}, "/account": {"GET": 1}}


def answered(pieces: Generator[bytes, None, None]) -> Answer:
    held = ExitStack()
    held.callback(pieces.close)
    return Answer(200, {"Content-Type": "text/event-stream"}, Body(pieces, held))


class App:
    """Stands for Chalice: answers at once, but longpolls only when `news` has come."""

    def __init__(self) -> None:
        self.routes = ROUTES
        self.news = threading.Event()
        self.api = type("Api", (), {"binary_types": []})

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        if event["resource"] == "/delta/longpoll":
            assert self.news.wait(20)
        return {"statusCode": 200, "headers": {}, "body": event["resource"]}


class Connection:
    """One request of an ASGI server; `gone` is set when the client closes the connection."""

    def __init__(self, path: str, method: str = "GET", body: bytes = b"") -> None:
        self.scope: Message = {
            "type": "http", "method": method, "raw_path": path.encode(), "query_string": b"", "headers": [],
        }  # fmt: skip
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.gone = asyncio.Event()
        self._asked = False
        self._body = body

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.sent.put(message)

    async def next(self) -> Message:
        return await asyncio.wait_for(self.sent.get(), 20)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setattr(answering, "LocalChalice", App)
    return App()


def front_of(app: App, stream: Any = None) -> Front:
    return Front(Answering(app), stream or (lambda event, context: None))


def test_a_stream_leaves_piece_by_piece(app: App) -> None:
    seen = threading.Semaphore(0)

    def stream(event: dict[str, Any], context: Any) -> Answer:
        assert event["resource"] == "/delta/streaming"

        def body() -> Generator[bytes, None, None]:
            for piece in (b"\n", b"{}\n"):
                yield piece
                assert seen.acquire(timeout=20), "the piece before was kept back"

        return answered(body())

    async def story() -> None:
        client = Connection("/delta/streaming")
        served = asyncio.create_task(front_of(app, stream)(client.scope, client.receive, client.send))
        start = await client.next()
        assert (start["status"], start["headers"]) == (200, [(b"content-type", b"text/event-stream")])
        for piece in (b"\n", b"{}\n"):
            assert await client.next() == {"type": "http.response.body", "body": piece, "more_body": True}
            seen.release()
        assert await client.next() == {"type": "http.response.body", "body": b""}
        await served

    asyncio.run(story())


def test_a_stream_ends_when_its_client_has_gone(app: App) -> None:
    closed = threading.Event()

    def stream(event: dict[str, Any], context: Any) -> Answer:
        def body() -> Generator[bytes, None, None]:
            try:
                while True:
                    yield b"\n"
            finally:
                closed.set()

        return answered(body())

    async def story() -> None:
        client = Connection("/delta/streaming")
        served = asyncio.create_task(front_of(app, stream)(client.scope, client.receive, client.send))
        await client.next()
        assert (await client.next())["body"] == b"\n"
        client.gone.set()
        await asyncio.wait_for(served, 20)

    asyncio.run(story())
    assert closed.is_set()


def test_a_stream_that_breaks_is_not_ended_as_if_it_were_complete(app: App) -> None:
    def stream(event: dict[str, Any], context: Any) -> Answer:
        def body() -> Generator[bytes, None, None]:
            yield b"\n"
            raise LookupError

        return answered(body())

    async def story() -> None:
        client = Connection("/delta/streaming")
        with pytest.raises(LookupError):
            await front_of(app, stream)(client.scope, client.receive, client.send)
        sent = [client.sent.get_nowait() for _ in range(client.sent.qsize())]
        assert all(message.get("more_body", True) for message in sent)

    asyncio.run(story())


def test_those_who_wait_do_not_keep_others_waiting(app: App) -> None:
    async def story() -> None:
        front = front_of(app)
        waiting = [Connection("/delta/longpoll") for _ in range(fronts.THREADS * 2)]
        tasks = [asyncio.create_task(front(one.scope, one.receive, one.send)) for one in waiting]
        other = Connection("/account")
        await asyncio.wait_for(front(other.scope, other.receive, other.send), 20)
        assert (await other.next())["status"] == 200
        assert not any(task.done() for task in tasks)
        app.news.set()
        await asyncio.gather(*tasks)

    asyncio.run(story())


def test_large_requests_are_answered_in_another_process_and_the_death_of_one_is_told(app: App) -> None:
    """`app` here knows no /threads; the real one, in the other process, minds the method."""
    large = b" " * (fronts.LARGE_BYTES + 1)

    async def story() -> None:
        front = front_of(app)

        async def ask(path: str, body: bytes) -> int:
            client = Connection(path, "POST" if body else "GET", body)
            await asyncio.wait_for(front(client.scope, client.receive, client.send), 60)
            return int((await client.next())["status"])

        assert await ask("/account", b"") == 200
        assert await ask("/threads", b" ") == 404
        assert await ask("/threads", large) == 405
        held = front._apart.submit(
            gateway.Request(method="GET", path="/account", query="", headers=[], body=b"")
        )
        for pid in list(front._apart._pool._processes):
            os.kill(pid, signal.SIGKILL)
        with suppress(BrokenProcessPool):
            await asyncio.wait_for(asyncio.wrap_future(held), 60)
        assert await ask("/threads", large) in (405, 502)
        assert await ask("/threads", large) == 405

    asyncio.run(story())


def test_a_process_of_large_requests_ends_with_its_parent() -> None:
    program = (
        "import os, signal, sys\n"
        "from infra.gateway.answering import Apart\n"
        "from infra.gateway.gateway import Request\n"
        "if __name__ == '__main__':\n"
        "    apart = Apart()\n"
        "    apart.submit(Request(method='GET', path='/none', query='', headers=[], body=b'')).result(60)\n"
        "    print(*apart._pool._processes, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=90
    )
    [pid] = map(int, done.stdout.split())
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, "it goes on without its parent"
        time.sleep(0.05)


def test_the_clock_calls_each_function_as_often_as_the_template_says() -> None:
    template = Template.read(ROOT / "template.yaml", "stack", "us-east-1")
    assert {one.function: one.seconds for one in template.schedules()} == {"tick": 60, "reconcile": 300}
