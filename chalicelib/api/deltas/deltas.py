"""/delta."""

from __future__ import annotations

import time
from typing import Any

from chalice.app import Request, Response

from chalicelib.api.deltas import streaming, view
from chalicelib.clock import Deadline
from chalicelib.deltas import follow
from chalicelib.domain.accounts.account import Account
from chalicelib.http import access, limits
from chalicelib.http.query import Query
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.wire import body, size
from chalicelib.wire.log import cursor
from chalicelib.wire.log import delta as wire

deltas = Routes(__name__)
_LONGPOLL_SECONDS = 120.0


@deltas.route("/delta/latest_cursor", methods=["POST"])
def latest_cursor() -> Any:
    """Return the cursor behind everything logged so far."""
    account = access.account(deltas.current_request)
    return {"cursor": cursor.encode(account.id, *services().log.head(account.id))}


@deltas.route("/delta/generate_cursor", methods=["POST"])
def generate_cursor() -> Any:
    """Return the cursor behind everything logged up to a second of the past."""
    account = access.account(deltas.current_request)
    start = body.past_second(body.parse(deltas.current_request.raw_body), "start", time.time())
    return {"cursor": cursor.encode(account.id, *services().log.before(account.id, start))}


@deltas.route("/delta", methods=["GET"])
def list_deltas() -> Any:
    """Return what happened after a cursor."""
    account = access.account(deltas.current_request)
    query = Query(deltas.current_request, view.PARAMETERS)
    place = view.place(query, account)
    batch = view.of(query, account).feed(view.limit(query)).after(place)
    return _answer(query, account, place, batch)


@deltas.route("/delta/longpoll", methods=["GET"])
def longpoll() -> Any:
    """Return what happened after a cursor as soon as there is something, or nothing after `timeout`."""
    account = access.account(deltas.current_request)
    query = Query(deltas.current_request, view.PARAMETERS | {"timeout"})
    seconds = query.seconds("timeout", _LONGPOLL_SECONDS, services().settings.longpoll_seconds)
    place, wanted = view.place(query, account), view.of(query, account).feed(view.limit(query))
    with limits.waiting("longpoll", account, seconds):
        batch = follow.longpoll(wanted, place, follow.Patience(Deadline.after(seconds), time.sleep))
    return Response(size.ascii_text(size.fitted(_answer(query, account, place, batch))))


@deltas.route("/delta/streaming", methods=["GET"])
def stream() -> Any:
    """Return what happened after a cursor line by line; all at once where nobody can stream."""
    request: Request = deltas.current_request
    lines = streaming.lines(request, most_seconds=0)
    return Response(b"".join(lines).decode(), headers=dict(streaming.HEADERS))


def _answer(query: Query, account: Account, place: follow.LogPosition, batch: follow.Batch) -> dict[str, Any]:
    moved = batch.end[0] > place[0]
    start = query.raw("cursor") or cursor.START
    end = cursor.encode(account.id, *batch.end) if moved else start
    if not query.flag("seq"):
        return wire.dump_batch(start, end, [one for _, one in batch.shown])
    numbers = {"seq_start": place[0], "seq_end": batch.end[0]}
    return wire.dump_batch(start, end, follow.in_order(batch.shown, place[0])) | numbers
