"""Lambda's runtime for a function that answers piece by piece: `python3 -m chalicelib.workers.streams`.

The managed Python runtime sends an answer only when it is complete. This loop speaks Lambda's Runtime
API itself (docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming):
it asks for the next event, calls the function named by _HANDLER, and sends status and headers, eight
zero bytes, then each piece of the body as a chunk of its own.
"""

from __future__ import annotations

import base64
import http.client
import importlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, Protocol, cast

PRELUDE = "application/vnd.awslambda.http-integration-response"
_ROOT = "/2018-06-01/runtime"
_ERROR_TYPE, _ERROR_BODY = "Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body"

log = logging.getLogger(__name__)


class Body(Protocol):
    """Pieces of an answer."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield them as they come."""

    def close(self) -> None:
        """Give back what they hold."""


class Answer(Protocol):
    """What a streaming function returns; see `chalicelib.api.deltas.streaming`."""

    @property
    def status(self) -> int:
        """Status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers."""

    @property
    def body(self) -> Body:
        """Body as it comes."""


Function = Callable[[dict[str, Any], Any], Answer]


def serve(api: str, function: Function, calls: int | None = None) -> None:
    """Answer one event after the other, for ever or so many; `api` is host and port of the Runtime API."""
    while calls is None or calls > 0:
        id, event = _next(api)
        _answer(api, id, function, event)
        calls = None if calls is None else calls - 1


def load(handler: str) -> Function:
    """Return the function that `module.name` names."""
    module, _, name = handler.rpartition(".")
    return cast(Function, getattr(importlib.import_module(module), name))


def _next(api: str) -> tuple[str, dict[str, Any]]:
    with closing(http.client.HTTPConnection(api)) as connection:  # it may sleep for minutes: no time limit
        connection.request("GET", f"{_ROOT}/invocation/next")
        response = connection.getresponse()
        return response.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(response.read())


def _answer(api: str, id: str, function: Function, event: dict[str, Any]) -> None:
    with closing(http.client.HTTPConnection(api)) as connection:
        connection.putrequest("POST", f"{_ROOT}/invocation/{id}/response")
        connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.putheader("Content-Type", PRELUDE)
        connection.putheader("Trailer", f"{_ERROR_TYPE}, {_ERROR_BODY}")
        connection.endheaders()
        connection.send(_end(_sent(connection, function, event)))
        connection.getresponse().read()


def _sent(connection: http.client.HTTPConnection, function: Function, event: dict[str, Any]) -> str:
    """Send the answer; return the name of the error that cut it short, empty if it is complete."""
    try:
        answer = function(event, None)
        prelude = {"statusCode": answer.status, "headers": dict(answer.headers)}
        connection.send(_chunk(json.dumps(prelude).encode() + bytes(8)))
        with closing(answer.body):
            for piece in answer.body:
                connection.send(_chunk(piece))
    except Exception as error:  # the edge: Lambda is told, and the gateway cuts the connection
        log.error("the stream broke: %s", type(error).__name__)  # its message may hold mail
        return type(error).__name__
    return ""


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def _end(error: str) -> bytes:
    if not error:
        return b"0\r\n\r\n"
    body = base64.b64encode(json.dumps({"errorType": error, "errorMessage": ""}).encode()).decode()
    return f"0\r\n{_ERROR_TYPE}: {error}\r\n{_ERROR_BODY}: {body}\r\n\r\n".encode()


if __name__ == "__main__":
    serve(os.environ["AWS_LAMBDA_RUNTIME_API"], load(os.environ["_HANDLER"]))
