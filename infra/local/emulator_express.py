"""A short way into the emulator's DynamoDB, past the routing that its two hundred other services need.

The emulator does one thing at a time. Whoever signs with an access key that ends in `PATIENT` lets everybody
else go first: of such requests no more than one stands in the way of what comes next.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any

from infra.local.emulator_units import PATH, Meter

App = Callable[[Any, Any, Any], Awaitable[None]]
Handler = Callable[..., Awaitable[Any]]
PATIENT = "-patient"
_PATIENT_CREDENTIAL = f"{PATIENT}/".encode()
_ROUNDS = 3
"""Of the event loop: what has come meanwhile is read in the first, becomes a task and is served."""


class Express:
    """Wraps the emulator's ASGI application: DynamoDB's own requests go straight to its handler.

    With a meter, they are counted on the way, and GET /_postern/units tells the totals.
    """

    def __init__(
        self, server: ModuleType, dynamodb: ModuleType, streams: ModuleType, meter: Meter | None = None
    ) -> None:
        self._server = server
        self._meter = meter
        self._handlers = {
            b"DynamoDB_20120810": meter.handle if meter else dynamodb.handle_request,
            b"DynamoDBStreams_20120810": streams.handle_request,
        }
        self._turn = asyncio.Lock()
        self._app: App = server.app
        server.__dict__["app"] = self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        raw = dict(scope["headers"]) if scope["type"] == "http" else {}
        handle = self._handlers.get(raw.get(b"x-amz-target", b"").partition(b".")[0])
        if handle is None:
            if self._meter and scope.get("path") == PATH:
                await _answer(send, 200, {}, json.dumps(self._meter.totals).encode())
                return
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if _PATIENT_CREDENTIAL in raw.get(b"authorization", b""):
            async with self._turn:
                for _ in range(_ROUNDS):
                    await asyncio.sleep(0)
                await self._serve(handle, scope, raw, body, send)
        else:
            await self._serve(handle, scope, raw, body, send)

    async def _serve(
        self, handle: Handler, scope: Any, raw: Mapping[bytes, bytes], body: bytes, send: Any
    ) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw.items()}
        self._server.set_request_account_id(self._server.extract_access_key_id(headers, {}))
        self._server.set_request_region(self._server.extract_region(headers, {}))
        status, sent, data = await handle("POST", scope["path"], headers, body, {})
        await _answer(send, status, sent, data if isinstance(data, bytes) else data.encode())


async def _answer(send: Any, status: int, headers: dict[str, str], data: bytes) -> None:
    fields = {**headers, "Content-Length": str(len(data))}
    listed = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": data})
