"""The runtime for streamed answers, against Lambda's Runtime API as documented, served here."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib.workers import streams

Trailers = dict[str, str]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Generator[bytes, None, None]


@dataclass
class RuntimeApi:
    """Hands out one event again and again; keeps headers, chunks and trailers of each answer."""

    event: dict[str, Any]
    answers: list[tuple[dict[str, str], list[bytes], Trailers]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __enter__(self) -> str:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                assert self.path == "/2018-06-01/runtime/invocation/next"
                body = json.dumps(api.event).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "request-1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                assert self.path == "/2018-06-01/runtime/invocation/request-1/response"
                chunks: list[bytes] = []
                api.answers.append((dict(self.headers), chunks, {}))
                while size := int(self.rfile.readline(), 16):
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                    api.arrived.release()
                while line := self.rfile.readline().strip().decode():
                    name, _, value = line.partition(": ")
                    api.answers[-1][2][name] = value
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{self._server.server_port}"

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_pieces_leave_as_they_come() -> None:
    api = RuntimeApi({"path": "/delta/streaming"})

    def function(event: dict[str, Any], context: Any) -> Answer:
        assert event == {"path": "/delta/streaming"}

        def body() -> Generator[bytes, None, None]:
            for piece in (b"\n", b'{"a":1}\n', b""):
                # The piece before has arrived, or this would wait in vain: nothing is kept back.
                assert api.arrived.acquire(timeout=20)
                yield piece

        return Answer(200, {"Content-Type": "text/event-stream"}, body())

    with api as place:
        streams.serve(place, function, calls=1)
    headers, chunks, trailers = api.answers[0]
    assert headers["Lambda-Runtime-Function-Response-Mode"] == "streaming"
    assert headers["Content-Type"] == "application/vnd.awslambda.http-integration-response"
    prelude, rest = chunks[0].split(bytes(8))
    assert json.loads(prelude) == {"statusCode": 200, "headers": {"Content-Type": "text/event-stream"}}
    assert (rest, chunks[1:], trailers) == (b"", [b"\n", b'{"a":1}\n'], {})


@pytest.mark.parametrize("early", [True, False])
def test_a_stream_that_breaks_says_so_and_the_next_event_is_served(early: bool) -> None:
    def function(event: dict[str, Any], context: Any) -> Answer:
        def body() -> Generator[bytes, None, None]:
            yield b"\n"
            raise LookupError("a secret")

        if early:
            raise LookupError("a secret")
        return Answer(200, {}, body())

    api = RuntimeApi({})
    with api as place:
        streams.serve(place, function, calls=2)
    assert len(api.answers) == 2
    for _, _, trailers in api.answers:
        assert trailers["Lambda-Runtime-Function-Error-Type"] == "LookupError"
        told = json.loads(base64.b64decode(trailers["Lambda-Runtime-Function-Error-Body"]))
        assert told == {"errorType": "LookupError", "errorMessage": ""}


def test_the_handler_of_the_template_is_the_function_of_the_app() -> None:
    import app

    assert streams.load("app.stream_deltas") is app.stream_deltas
