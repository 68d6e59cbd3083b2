"""A short way into the emulator's DynamoDB: a request is served by the callback that has read it.

The usual way, through ASGI and the routing that two hundred other services need, takes longer than most
requests. The emulator does one thing at a time. Whoever signs with an access key that ends in `PATIENT`
lets everybody else go first: of such requests no more than one stands in the way of what comes next.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from types import ModuleType
from typing import Any

from infra.emulator.streams import Streams
from infra.emulator.units import PATH, Meter
from infra.machine.gathering import GatheringProtocol

PATIENT = "-patient"
_PATIENT_CREDENTIAL = f"{PATIENT}/".encode()
_ROUNDS = 2
"""Of the event loop: what has come meanwhile is read and served in the second half of the first."""

_DYNAMODB, _STREAMS = b"DynamoDB_20120810", b"DynamoDBStreams_20120810"
_READING = _STREAMS + b".GetRecords"
_UNITS = PATH.encode()

Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, Mapping[str, str], bytes | str]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What came over a connection, and how to answer it there."""

    target: bytes
    signature: bytes
    body: bytes
    reply: Callable[[bytes], None]


class Express:
    """Serves what is for DynamoDB and its streams; with a meter, GET /_postern/units tells the totals.

    Requests that `admits` refuses, by their headers, end here, whoever they are for.
    """

    def __init__(
        self,
        server: ModuleType,
        dynamodb: ModuleType,
        streams: ModuleType,
        admits: Callable[[Headers], bool],
        meter: Meter | None = None,
    ) -> None:
        self._server = server
        self.admits = admits
        self._meter = meter
        self._streams = Streams(dynamodb, streams)
        self._handlers = {
            _DYNAMODB: meter.handle if meter else dynamodb.handle_request,
            _STREAMS: streams.handle_request,
        }
        self._patient: deque[Request] = deque()
        self._reading: set[asyncio.Task[None]] = set()

    def protocol(self, **options: Any) -> ExpressProtocol:
        """Return the protocol of a new connection; the options are uvicorn's."""
        return ExpressProtocol(self, **options)

    def takes(self, url: bytes, target: bytes) -> bool:
        """Tell whether a request is served here."""
        return target.partition(b".")[0] in self._handlers or (self._meter is not None and url == _UNITS)

    def take(self, request: Request) -> None:
        """Serve a request, at once or when its turn has come."""
        if request.target == _READING:
            task = asyncio.get_running_loop().create_task(self._read(request))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        elif _PATIENT_CREDENTIAL in request.signature:
            self._patient.append(request)
            if len(self._patient) == 1:
                self._let_others_go(_ROUNDS)
        else:
            self._serve(request)

    def _let_others_go(self, rounds: int) -> None:
        if rounds:
            asyncio.get_running_loop().call_soon(self._let_others_go, rounds - 1)
            return
        request = self._patient.popleft()
        if self._patient:
            self._let_others_go(_ROUNDS)
        self._serve(request)

    def _serve(self, request: Request) -> None:
        try:
            answer = self._answer(request)
        except Exception:
            answer = _failed()
        request.reply(http_answer(answer))

    def _answer(self, request: Request) -> Answer:
        if not request.target:
            return 200, {}, json.dumps(self._meter.totals if self._meter else {})
        self._enter(request)
        handle = self._handlers[request.target.partition(b".")[0]]
        return _done(handle("POST", "/", {"x-amz-target": request.target.decode()}, request.body, {}))

    async def _read(self, request: Request) -> None:
        try:
            self._enter(request)
            answer = await self._streams.read(request.body)
        except Exception:
            answer = _failed()
        request.reply(http_answer(answer))

    def _enter(self, request: Request) -> None:
        """Name the account and the region of those who ask."""
        credential = request.signature.partition(b"/dynamodb/")[0]
        key, region = _signer(self._server, credential)
        self._server.set_request_account_id(key)
        self._server.set_request_region(region)


class ExpressProtocol(GatheringProtocol):
    """Takes requests off uvicorn's hands that are for DynamoDB. httptools calls the `on_` methods."""

    def __init__(self, express: Express, **options: Any) -> None:
        super().__init__(**options)
        self._express = express
        self._taken: dict[bytes, bytes] | None = None
        self._pieces: list[bytes] = []
        self._owed = False

    def on_headers_complete(self) -> None:
        """Decide who serves the request."""
        fields = dict(self.headers)
        if self._owed:
            self.transport.close()  # nobody asks before the last answer has come
        elif not self._express.admits(self.headers):
            self._owed = True  # whatever else comes is not read
            self.transport.send(http_answer(_REFUSED))
            self.transport.close()
        elif self._is_plain() and self._express.takes(self.url, fields.get(b"x-amz-target", b"")):
            self._taken = fields
        else:
            super().on_headers_complete()

    def _is_plain(self) -> bool:
        waiting = self.cycle is not None and not self.cycle.response_complete
        return not (waiting or self.expect_100_continue) and bool(self.parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        """Called with each piece of a body."""
        if self._taken is not None:
            self._pieces.append(body)
        elif not self._owed:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Called at the end of a request."""
        if self._taken is not None:
            fields, self._taken = self._taken, None
            body, self._owed = b"".join(self._pieces), True
            self._pieces.clear()
            target, signature = fields.get(b"x-amz-target", b""), fields.get(b"authorization", b"")
            self._express.take(Request(target, signature, body, self._reply))
        elif not self._owed:
            super().on_message_complete()

    def _reply(self, answer: bytes) -> None:
        self._owed = False
        if not self.transport.is_closing():
            self.transport.send(answer)


_REFUSED: Answer = 403, {"Connection": "close"}, b'{"__type":"UnrecognizedClientException"}'


def http_answer(answer: Answer) -> bytes:
    """Return the bytes of an answer."""
    status, headers, data = answer
    body = data if isinstance(data, bytes) else data.encode()
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


@lru_cache(maxsize=64)
def _signer(server: ModuleType, credential: bytes) -> tuple[str, str]:
    """Return access key and region of a credential, which names them and the day."""
    headers = {"authorization": credential.decode("latin-1") + "/dynamodb/aws4_request"}
    return server.extract_access_key_id(headers, {}), server.extract_region(headers, {})


def _failed() -> Answer:
    """Return the answer to a request over which the emulator has just failed."""
    log.exception("a request failed")
    return 500, {}, b'{"__type":"InternalServerError"}'


def _done(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Return the result of one of the emulator's handlers, which are coroutines but never wait."""
    try:
        work.send(None)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise RuntimeError("The emulator's DynamoDB has begun to wait.")
