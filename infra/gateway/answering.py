"""Answers requests with app.py: in this process, or those with large bodies in another one.

On Lambda each request has an environment for itself. Here a large one, which computes for a second, would
hold up all others of its process.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any
from urllib.parse import quote

from chalice.local import LocalChalice

import app as application
from chalicelib.api.mail.folders import NOT_OFFERED
from infra.functions import invocation
from infra.gateway import gateway

TIMEOUT = 29
PROCESSES = 1
"""So many large requests are answered at once; they compute, and the others want their share."""

NICENESS = 10
"""Whoever merely reads goes first."""

SHOWN_BYTES = 200
"""Of a path that nobody serves, in the log."""

log = logging.getLogger(__name__)


class Answering:
    """One API Gateway event per request, handed to the app."""

    def __init__(self, app: Any) -> None:
        app.__class__ = LocalChalice  # keeps the current request per thread; Chalice does not
        self._app = app

    def match(self, path: str) -> gateway.Match | None:
        """Return the route of a path."""
        return gateway.match(self._app.routes, path)

    def event(self, request: gateway.Request, route: gateway.Match) -> dict[str, Any]:
        """Return the event that API Gateway would send."""
        return gateway.event(request, route, self._app.api.binary_types)

    def respond(self, request: gateway.Request) -> gateway.Answer:
        """Answer one request."""
        route = self.match(request.path)
        if route is None:
            return refused(request.method, request.path.encode(), 404, "No such path.")
        if ("GET" if request.method == "HEAD" else request.method) not in route.methods:
            reason, allowed = "This method is not allowed here.", _allow(route)
            return refused(request.method, request.path.encode(), 405, reason, allowed)
        return gateway.answer(
            self._app(self.event(request, route), invocation.context("APIHandler", TIMEOUT))
        )


class Apart:
    """Processes that answer one request after the other; they begin when they are needed."""

    def __init__(self) -> None:
        self._pool = _pool()

    def submit(self, request: gateway.Request) -> Future[gateway.Answer]:
        """Have a request answered; the future fails if its process dies, and the next one gets a new one."""
        try:
            return self._pool.submit(_respond, request)
        except BrokenProcessPool:
            self._pool = _pool()
            return self._pool.submit(_respond, request)


def refused(
    method: str, path: bytes, status: int, reason: str, headers: gateway.Pairs = ()
) -> gateway.Answer:
    """Log and answer a request that reaches no route."""
    shown = quote(path.partition(b"?")[0][:SHOWN_BYTES], safe="/%")
    log.info("%s %s %d", method if method.isalpha() else "-", shown, status)
    return gateway.error(status, reason, headers)


def _allow(route: gateway.Match) -> list[tuple[str, str]]:
    methods = set(route.methods) - NOT_OFFERED.get(route.resource, frozenset())
    return [("allow", ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods)))]


def _pool() -> ProcessPoolExecutor:
    # Spawned: a fork would inherit locks that threads hold.
    return ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """Prepare the process; it ends with its parent, and Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    invocation.configure_logging()
    threading.Thread(target=_end_with_parent, name="leash", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(0)


def _respond(request: gateway.Request) -> gateway.Answer:
    return _answering().respond(request)


def _answering() -> Answering:
    return Answering(application.app)
