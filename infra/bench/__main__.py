"""`make bench`: sync, read and notify on a Dovecot mailbox, as one table and .local/bench.json."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3

from infra.bench.figures import cpu_seconds, descendants, percentiles, timed, wait_for
from infra.demo import dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill, login
from infra.local.runtime import LocalRuntime
from infra.local.state import ROOT

USER = "mira@kestrel.example"
REQUESTS = 200


class Api:
    """The API as one account's client sees it."""

    def __init__(self, info: dict[str, Any]) -> None:
        self._info = info
        self._http = urllib3.PoolManager(maxsize=16, retries=False, timeout=60)
        self._token = ""

    def connect(self, imap: dovecot.Dovecot, smtp: Submission) -> None:
        """Connect the bench account."""
        server = {"host": "127.0.0.1", "username": USER, "password": dovecot.PASSWORD}
        settings: dict[str, Any] = {f"imap_{key}": value for key, value in server.items()}
        settings |= {f"smtp_{key}": value for key, value in server.items()}
        settings |= {"imap_port": imap.imap, "smtp_port": smtp.port, "ssl_required": False}
        body = {
            "client_id": self._info["client_id"],
            "name": "Mira Okafor",
            "email_address": USER,
            "provider": "imap",
            "settings": settings,
        }
        code = self.post("/connect/authorize", body)["code"]
        body = {key: self._info[key] for key in ("client_id", "client_secret")} | {"code": code}
        self._token = self.post("/connect/token", body)["access_token"]

    def get(self, path: str) -> Any:
        """Return the parsed answer of a GET."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """Return the parsed answer of a POST."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        secret = self._info["client_secret"] if path.startswith("/a/") else self._token
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        answer = self._http.request(
            method, self._info["api_url"] + path, body=json.dumps(body) if body else None, headers=headers
        )
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.data[:300]!r}")
        return json.loads(answer.data)


def sync(api: Api, runtime: LocalRuntime, imap: dovecot.Dovecot, smtp: Submission, count: int) -> Any:
    """Measure the first sync."""
    parts = {"handlers": ("front", "worker-sync", "worker-rest"), "emulator": ("emulator",)}
    pids = {name: [runtime.pid(child) for child in children] for name, children in parts.items()}
    before = {name: cpu_seconds(some) for name, some in pids.items()}
    server_before = cpu_seconds(descendants(imap.pid()))
    api.connect(imap, smtp)
    began = time.perf_counter()
    figures: dict[str, Any] = {}
    for threads in (50, 500):
        wait_for(partial(_has_threads, api, threads))
        figures[f"first {threads} threads, s"] = round(time.perf_counter() - began, 2)
    wait_for(lambda: api.get("/messages?view=count")["count"] == count, pause=0.25)
    wait_for(lambda: api.get("/account")["sync_state"] == "running")
    total = time.perf_counter() - began
    figures["all messages, s"] = round(total, 2)
    figures["messages/s"] = round(count / total)
    for name, some in pids.items():
        figures[f"CPU {name}, s per 1,000"] = round((cpu_seconds(some) - before[name]) / count * 1000, 2)
    server = cpu_seconds(descendants(imap.pid())) - server_before
    figures["CPU mail server, s per 1,000"] = round(server / count * 1000, 2)
    return figures


def _has_threads(api: Api, count: int) -> bool:
    return len(api.get(f"/threads?view=ids&limit={count}")) == count


def reads(api: Api) -> Any:
    """Measure three reads, one after the other and with eight clients."""
    ids = api.get("/messages?view=ids&limit=200")
    paths = {
        "GET /threads?limit=50": ["/threads?limit=50"],
        "GET /messages?limit=50": ["/messages?limit=50"],
        "GET /messages/{id}": [f"/messages/{id}" for id in ids],
    }
    figures = {}
    for name, some in paths.items():
        for clients in (1, 8):
            seconds = timed(api.get, islice(cycle(some), REQUESTS), clients)
            figures[f"{name}, {clients} client{'s' * (clients > 1)}, ms"] = percentiles(seconds)
    return figures


@contextmanager
def _endpoint() -> Iterator[tuple[str, list[float]]]:
    """A webhook endpoint that notes when it was told."""
    told: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(parse_qs(urlsplit(self.path).query)["challenge"][0].encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            told.append(time.perf_counter())
            self._answer(b"")

        def log_message(self, *args: object) -> None:
            pass

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", told
    server.shutdown()


def notices(api: Api, info: dict[str, Any], imap: dovecot.Dovecot) -> Any:
    """Measure from a message in the mailbox to the webhook received."""
    seconds = []
    with _endpoint() as (url, told), login(imap, USER) as client:
        hook = {"callback_url": url, "state": "active", "triggers": ["message.created"]}
        api.post(f"/a/{info['client_id']}/webhooks", hook)
        for number in range(10):
            time.sleep(1)
            told.clear()
            raw = f"Subject: news {number}\r\nMessage-ID: <{number}@bench.example>\r\n\r\nhello\r\n"
            client.append("INBOX", raw.encode())
            began = time.perf_counter()
            wait_for(lambda: bool(told), seconds=30)
            seconds.append(told[0] - began)
    return {"mailbox to webhook, ms": percentiles(seconds)}


def main() -> int:
    """Run everything; the first argument is the number of messages (2,000)."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    if not dovecot.installed():
        print("make bench needs Dovecot: install the package dovecot-imapd.", file=sys.stderr)
        return 1
    imap = dovecot.Dovecot().start()
    runtime = LocalRuntime(Path(tempfile.mkdtemp(prefix="postern-bench")))
    try:
        with Submission(imap) as smtp:
            fill(imap, USER, count)
            info = runtime.start()
            api = Api(info)
            figures = {"messages": count, "cores": os.cpu_count()}
            figures |= sync(api, runtime, imap, smtp, count)
            figures |= reads(api)
            figures |= notices(api, info, imap)
    finally:
        runtime.stop()
        imap.stop()
    _report(figures)
    return 0


def _report(figures: dict[str, Any]) -> None:
    width = max(map(len, figures))
    for name, value in figures.items():
        shown = "  ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"{name:<{width}}  {shown}")
    target = ROOT / ".local" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2))
    print(f"also in {target.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
