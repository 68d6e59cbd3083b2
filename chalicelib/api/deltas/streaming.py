"""/delta/streaming: an answer that goes on, for whoever can send one piece by piece."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from chalice.app import Request, Response

from chalicelib.api.deltas import view
from chalicelib.clock import Clock, Deadline
from chalicelib.deltas import follow
from chalicelib.errors import ApiError
from chalicelib.http import access, limits, routes
from chalicelib.http.query import Query
from chalicelib.services import services

HEADERS = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
_DEFAULT_SECONDS = 1800.0
_LOOK_SECONDS = 60.0


class Body:
    """Pieces of an answer; what they hold is given back at their end, or by `close` if nobody reads on."""

    def __init__(self, pieces: Iterable[bytes], held: ExitStack) -> None:
        self._pieces = iter(pieces)
        self._held = held

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:  # the end of the pieces is an exception, too
            self.close()
            raise

    def close(self) -> None:
        """Give back what is held; twice is fine."""
        self._held.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers at once, the body as it comes; close the body if nobody reads on."""

    status: int
    headers: Mapping[str, str]
    body: Body


def answer(event: dict[str, Any]) -> Answer:
    """Answer a request for the stream; what is wrong with it is told by status and error object."""
    request, began = Request(event), time.monotonic()
    body = routes.attempt(lambda: lines(request), "stream")
    response = body if isinstance(body, Response) else Response("", headers=dict(HEADERS))
    if body is response:
        body = Body([json.dumps(response.body).encode()], ExitStack())
    routes.complete(request, response)
    routes.tell(request, response, time.monotonic() - began)
    return Answer(response.status_code, response.headers, body)


def lines(request: Request, most_seconds: float | None = None) -> Body:
    """Return the body of the stream. Raises ApiErrors before it begins."""
    account = access.account(request)
    query = Query(request, view.PARAMETERS | {"timeout"})
    most = services().settings.stream_seconds if most_seconds is None else most_seconds
    seconds = query.seconds("timeout", _DEFAULT_SECONDS, most)
    place, wanted = view.place(query, account), view.of(query, account).feed(view.limit(query))
    numbered = bool(query.flag("seq"))
    services().log.since(account.id, place[0], 1)  # a cursor that is too old is told by the status
    stack = ExitStack()
    stack.enter_context(limits.waiting("streaming", account, seconds))
    patience = follow.Patience(Deadline.after(seconds), time.sleep)
    pieces = follow.lines(wanted, place, patience, numbered)
    return Body(while_allowed(request, pieces, time.monotonic), stack)


def while_allowed(request: Request, pieces: Iterable[bytes], now: Clock) -> Iterator[bytes]:
    """Yield pieces until the request's credential is no longer good; it is looked at every minute."""
    looked = now()
    for piece in pieces:
        if now() - looked >= _LOOK_SECONDS:
            looked = now()
            try:
                access.account(request)
            except ApiError:
                return
        yield piece
