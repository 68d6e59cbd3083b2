"""A webhook endpoint to try things with: `python3 -m infra.demo.endpoint PORT`.

Answers challenges, checks signatures and prints what it is told. The client secret is that of the system
that runs here, or CLIENT_SECRET of the environment. Needs nothing but Python.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from infra.local.shell import running

Told = Callable[[bytes, Mapping[str, str]], object]
"""Receives the body and the headers of a notification; returns False to leave it without an answer."""


@contextmanager
def endpoint(told: Told, port: int = 0) -> Iterator[str]:
    """Serve on the loopback (port 0 is any free one) and give the URL to be used as callback_url."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(parse_qs(urlsplit(self.path).query).get("challenge", [""])[0].encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if told(body, dict(self.headers)) is not False:
                self._answer(b"")

        def log_message(self, *args: object) -> None:
            pass

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        server.server_close()


def main(port: int, client_secret: str) -> None:
    """Print notifications until Ctrl-C."""

    def told(body: bytes, headers: Mapping[str, str]) -> None:
        signature = headers.get("X-Nylas-Signature", "")
        expected = hmac.digest(client_secret.encode(), body, hashlib.sha256).hex()
        verdict = "signed by Postern" if hmac.compare_digest(signature, expected) else "WRONG SIGNATURE"
        print(f"{verdict}: {body.decode()}", flush=True)

    with endpoint(told, port) as url, suppress(KeyboardInterrupt):
        print(f"Listening on {url}; Ctrl-C stops it.", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    secret = os.environ.get("CLIENT_SECRET") or (running(os.environ) or {}).get("client_secret")
    if not secret:
        sys.exit("Set CLIENT_SECRET: Postern does not run here.")
    main(int(sys.argv[1]), secret)
