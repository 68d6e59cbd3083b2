"""The short way into the emulator: what it serves, in which order, and what it leaves to others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import httptools
import pytest
import uvicorn
from uvicorn.server import ServerState

from infra.emulator.express import Express, ExpressProtocol
from infra.emulator.gate import Gate
from infra.emulator.units import Meter
from infra.local import run

GET_ITEM = "DynamoDB_20120810.GetItem"
GATE = Gate("local", 80)
KEY = run.patient({"AWS_ACCESS_KEY_ID": "local"})["AWS_ACCESS_KEY_ID"]


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> Any:
        return None

    def bodies(self) -> list[tuple[int, str]]:
        """Return status and body of each answer."""
        return read(self.written)


class Emulator:
    """Notes in which order it serves."""

    def __init__(self, meter: Meter | None = None) -> None:
        self.served: list[str] = []
        self.failure: Exception | None = None
        self.waits: Callable[[], Awaitable[None]] | None = None
        self.server, dynamodb, streams = (ModuleType(name) for name in ("server", "dynamodb", "streams"))
        self.signers: list[Any] = []
        self.server.__dict__["set_request_account_id"] = self.signers.append
        self.server.__dict__["set_request_region"] = self.signers.append
        self.server.__dict__["extract_access_key_id"] = _access_key
        self.server.__dict__["extract_region"] = _region
        dynamodb.__dict__["handle_request"] = streams.__dict__["handle_request"] = self._handle
        dynamodb.__dict__["_emit_stream_event"] = lambda *arguments: None
        streams.__dict__["_get_records"] = lambda data: (200, {}, json.dumps(data))
        self.express = Express(self.server, dynamodb, streams, GATE.admits, meter)

    async def _handle(self, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        self.served.append(body.decode())
        if self.failure:
            raise self.failure
        if self.waits:
            await self.waits()
        return 200, {"Content-Type": "x"}, f"{headers['x-amz-target']} {body.decode()}"

    def connection(self) -> tuple[ExpressProtocol, Transport]:
        config = uvicorn.Config(_app, log_level="critical", lifespan="off")
        config.load()
        protocol = self.express.protocol(config=config, server_state=ServerState(), app_state={})
        transport = Transport()
        protocol.connection_made(transport)
        return protocol, transport


def request(body: str, *, key: str = "local", target: str = GET_ITEM, more: str = "") -> bytes:
    signed = f"AWS4-HMAC-SHA256 Credential={key}/20260101/eu/dynamodb/aws4_request, Signature=x"
    head = "POST / HTTP/1.1\r\nHost: localhost:80\r\n"
    head += f"X-Amz-Target: {target}\r\nAuthorization: {signed}\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def scene(play: Callable[[Emulator], Awaitable[None]], meter: Meter | None = None) -> Emulator:
    """Play a scene at an emulator of its own."""

    async def played() -> Emulator:
        emulator = Emulator(meter)
        await play(emulator)
        return emulator

    return asyncio.run(played())


def test_a_request_is_answered_by_who_has_read_it() -> None:
    async def play(emulator: Emulator) -> None:
        protocol, transport = emulator.connection()
        for name in ("one", "two"):
            whole = request(name)
            for piece in (whole[:50], whole[50:-1], whole[-1:]):
                protocol.data_received(piece)
        assert transport.bodies() == [(200, f"{GET_ITEM} one"), (200, f"{GET_ITEM} two")]
        assert emulator.signers == ["local", "eu"] * 2

    scene(play)


def test_of_patient_requests_one_at_most_is_served_before_what_comes_next() -> None:
    async def play(emulator: Emulator) -> None:
        for number in range(4):
            emulator.connection()[0].data_received(request(f"patient {number}", key=KEY))
        assert not emulator.served
        while not emulator.served:
            await asyncio.sleep(0)
        # The loop reads a socket in the round after its data has come.
        asyncio.get_running_loop().call_soon(emulator.connection()[0].data_received, request("hasty"))
        while len(emulator.served) < 5:
            await asyncio.sleep(0)

    served = scene(play).served
    assert served.index("hasty") <= 2
    assert [name for name in served if name != "hasty"] == [f"patient {n}" for n in range(4)]


def test_a_handler_that_fails_is_an_error_of_the_server_and_ends_nothing() -> None:
    async def play(emulator: Emulator) -> None:
        protocol, transport = emulator.connection()
        emulator.failure = KeyError("x")
        protocol.data_received(request("one", key=KEY))
        await asyncio.sleep(0.01)
        emulator.failure = None
        protocol.data_received(request("two", key=KEY))
        await asyncio.sleep(0.01)
        assert [status for status, _ in transport.bodies()] == [500, 200]
        emulator.waits = lambda: asyncio.sleep(0)  # the handlers never wait: this one would be lost
        protocol.data_received(request("three"))
        assert [status for status, _ in transport.bodies()] == [500, 200, 500]

    scene(play)


def test_a_read_of_a_stream_does_not_stand_in_the_way() -> None:
    async def play(emulator: Emulator) -> None:
        protocol, transport = emulator.connection()
        protocol.data_received(request('{"a":1}', target="DynamoDBStreams_20120810.GetRecords"))
        assert transport.bodies() == []
        await asyncio.sleep(0.01)
        assert transport.bodies() == [(200, '{"a": 1}')]
        protocol.data_received(request("no JSON", target="DynamoDBStreams_20120810.GetRecords"))
        await asyncio.sleep(0.01)
        assert [status for status, _ in transport.bodies()] == [200, 500]

    scene(play)


@pytest.mark.parametrize(
    ("target", "more"), [("AmazonSQS.SendMessage", ""), (GET_ITEM, "Connection: close\r\n"), ("", "")]
)
def test_everything_else_goes_the_usual_way(target: str, more: str) -> None:
    async def play(emulator: Emulator) -> None:
        protocol, transport = emulator.connection()
        protocol.data_received(request("one"))
        protocol.data_received(request("two", target=target, more=more))
        await asyncio.sleep(0.01)
        assert transport.bodies() == [(200, f"{GET_ITEM} one"), (202, "usual")]
        if not more:
            protocol.data_received(request("three"))
            assert transport.bodies()[2] == (200, f"{GET_ITEM} three")

    assert scene(play).served[0] == "one"


def test_who_asks_before_the_last_answer_has_come_is_sent_away() -> None:
    async def play(emulator: Emulator) -> None:
        protocol, transport = emulator.connection()
        protocol.data_received(request("one", key=KEY) + request("two"))
        await asyncio.sleep(0.01)
        assert transport.closed and not transport.written

    assert scene(play).served == ["one"]


def test_the_totals_of_the_meter_are_told() -> None:
    dynamodb = ModuleType("dynamodb")
    meter = Meter(dynamodb)
    meter.totals["core"] = {"read": 1.0, "write": 2.0}

    async def play(emulator: Emulator) -> None:
        protocol, transport = emulator.connection()
        protocol.data_received(
            b"GET /_postern/units HTTP/1.1\r\nHost: localhost:80\r\n"
            b"Authorization: AWS4-HMAC-SHA256 Credential=local/\r\n\r\n"
        )
        assert [json.loads(body) for _, body in transport.bodies()] == [meter.totals]

    scene(play, meter)


@pytest.mark.parametrize(("key", "its"), [("local", "local-patient"), ("123456789012", "123456789012")])
def test_history_signs_as_one_that_is_patient_unless_its_key_is_an_account(key: str, its: str) -> None:
    assert run.patient({"AWS_ACCESS_KEY_ID": key, "A": "b"}) == {"AWS_ACCESS_KEY_ID": its, "A": "b"}


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"usual"})


def _access_key(headers: Any, query: Any) -> str:
    return str(headers["authorization"].partition("Credential=")[2].partition("/")[0])


def _region(headers: Any, query: Any) -> str:
    return str(headers["authorization"].split("/")[2])


class _Reading:
    """Collects answers; httptools calls the `on_` methods."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []
        self.body = b""
        self.parser = httptools.HttpResponseParser(self)

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.found.append((self.parser.get_status_code(), self.body.decode()))
        self.body = b""


def read(data: bytes) -> list[tuple[int, str]]:
    """Return status and body of each answer among these bytes."""
    reading = _Reading()
    reading.parser.feed_data(data)
    return reading.found
