"""/delta."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from chalicelib.api import access
from chalicelib.api.query import Query
from chalicelib.api.routes import Routes
from chalicelib.api.views import Shown
from chalicelib.deltas import feed
from chalicelib.domain.delta import Change, Delta, Event
from chalicelib.errors import InvalidRequest
from chalicelib.services import services
from chalicelib.wire import cursor
from chalicelib.wire import delta as wire
from chalicelib.wire import file as file_wire
from chalicelib.wire import folder as folder_wire

deltas = Routes(__name__)
_TYPES = frozenset({"calendar", "contact", "draft", "event", "file", "folder", "label", "message", "thread"})
_FILTERS = frozenset({"cursor", "include_types", "exclude_types", "excluded_types"})
Objects = dict[str, dict[str, Any]]


@deltas.route("/delta/latest_cursor", methods=["POST"])
def latest_cursor() -> Any:
    """Return the cursor behind everything logged so far."""
    account = access.account(deltas.current_request)
    return {"cursor": cursor.encode(account.id, *services().log.head(account.id))}


@deltas.route("/delta", methods=["GET"])
def list_deltas() -> Any:
    """Return what happened after a cursor."""
    account = access.account(deltas.current_request)
    query = Query(deltas.current_request, _FILTERS)
    shown = Shown(account, expanded=query.view("expanded") == "expanded")
    start = query.raw("cursor")
    if start is None:
        raise InvalidRequest("cursor is required")
    seq, _ = cursor.decode(account.id, start)
    page = feed.page(services().log, account.id, seq, max(query.limit(), 1), keep=_keep(query))
    return {
        "cursor_start": start,
        "cursor_end": cursor.encode(account.id, page.end_seq, page.end_at) if page.end_seq > seq else start,
        "deltas": _dumped(shown, page.deltas),
    }


def _keep(query: Query) -> Callable[[Change], bool]:
    included = query.names("include_types")
    excluded = query.names("exclude_types", "excluded_types")
    if included and excluded:
        raise InvalidRequest("include_types and exclude_types cannot be combined")
    if unknown := (included | excluded) - _TYPES:
        raise InvalidRequest(f"Unknown types: {', '.join(sorted(unknown))[:200]}")
    kinds = (included or _TYPES) - excluded
    return lambda change: change.kind in kinds


def _dumped(shown: Shown, found: Iterable[Delta]) -> list[dict[str, Any]]:
    """Dump deltas; a create or modify of an object that has vanished since is left out."""
    found = list(found)
    ids: dict[str, list[str]] = {}
    for delta in found:
        if delta.change.event is not Event.DELETE:
            ids.setdefault(delta.change.kind, []).append(delta.change.id)
    objects = {kind: _LOAD[kind](shown, wanted) for kind, wanted in ids.items() if kind in _LOAD}
    return [
        wire.dump(shown.account.id, delta, objects.get(delta.change.kind, {}).get(delta.change.id))
        for delta in found
        if delta.change.event is Event.DELETE or delta.change.id in objects.get(delta.change.kind, {})
    ]


def _messages(shown: Shown, ids: list[str]) -> Objects:
    found = services().mail.messages(shown.account.id, ids)
    return {one["id"]: one for one in shown.messages(list(found.values()))}


def _threads(shown: Shown, ids: list[str]) -> Objects:
    found = services().mail.threads(shown.account.id, ids)
    return {one["id"]: one for one in shown.threads(list(found.values()))}


def _folders(shown: Shown, ids: list[str]) -> Objects:
    return {id: dict(folder_wire.dump(shown.folders[id])) for id in ids if id in shown.folders}


def _files(shown: Shown, ids: list[str]) -> Objects:
    found = {id: services().mail.file(shown.account.id, id) for id in ids}
    return {id: dict(file_wire.dump(one[0], shown.account.id, one[1])) for id, one in found.items() if one}


_LOAD: dict[str, Callable[[Shown, list[str]], Objects]] = {
    "message": _messages,
    "thread": _threads,
    "folder": _folders,
    "file": _files,
}
