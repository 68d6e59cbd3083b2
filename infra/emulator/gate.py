"""Who may speak to the emulator: who has its access key, from this machine, and is no web page."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from infra.emulator.express import PATIENT

_CREDENTIAL = re.compile(rb"Credential=([^/,\s]+)/")
_CORS = b"access-control-"

App = Callable[[Any, Any, Any], Awaitable[None]]


class Gate:
    """Judges requests by their headers: it stands before everything that the emulator can do."""

    def __init__(self, key: str, port: int) -> None:
        self._keys = [name.encode() for name in (key, key + PATIENT)]
        self._hosts = [f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")]

    def admits(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Tell whether a request may pass; header names are in lower case."""
        pairs = list(headers)
        hosts = [value for name, value in pairs if name == b"host"]
        signed = [value for name, value in pairs if name == b"authorization"]
        if any(name == b"origin" for name, _ in pairs) or len(hosts) != 1 or len(signed) != 1:
            return False
        found = _CREDENTIAL.search(signed[0])
        knows = found and any(hmac.compare_digest(found[1], key) for key in self._keys)
        return bool(knows) and hosts[0].lower() in self._hosts


def without_cors(app: App) -> App:
    """Return the application without the headers that invite web pages."""

    async def closed(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message.get("headers", ()) if not pair[0].lower().startswith(_CORS)]
                message = {**message, "headers": kept}
            await send(message)

        await app(scope, receive, sent)

    return closed
