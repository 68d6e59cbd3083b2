"""/a/{client_id}/deltas: what happened in all accounts of an application, behind one cursor."""

from __future__ import annotations

from typing import Any

from chalicelib import bounds
from chalicelib.api.deltas import view
from chalicelib.deltas import follow, together
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.accounts.application import Application
from chalicelib.errors import InvalidRequest
from chalicelib.http import access
from chalicelib.http.query import Query
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.wire import body
from chalicelib.wire.log import application_cursor as cursor
from chalicelib.wire.log import delta as wire

application_deltas = Routes(__name__)
Accounts = dict[str, Account]


@application_deltas.route("/a/{client_id}/deltas/latest_cursor", methods=["POST"])
def latest_application_cursor(client_id: str) -> Any:
    """Return the cursor behind everything; with `cursor` and `accounts`, that cursor with these renewed."""
    application = access.application(application_deltas.current_request, client_id)
    wanted = body.parse(application_deltas.current_request.raw_body)
    newest = _newest(_accounts(application))
    text = body.text(wanted, "cursor")
    ids = body.texts(wanted, "accounts", bounds.CURSOR_ACCOUNTS, bounds.CLIENT_ID_CHARACTERS)
    places = cursor.decode(application.id, text) if text is not None else cursor.Places()
    renewed = newest if ids is None else {id: newest.get(id, 0) for id in ids}
    return {"cursor": cursor.encode(application.id, places.moved(renewed, places.turn))}


@application_deltas.route("/a/{client_id}/deltas", methods=["GET", "POST"])
def list_application_deltas(client_id: str) -> Any:
    """Return what happened after a cursor, which a POST may bear in its body."""
    request = application_deltas.current_request
    application = access.application(request, client_id)
    query = Query(request, view.PARAMETERS)
    start = query.raw("cursor") or body.text(body.parse(request.raw_body), "cursor")
    if start is None:
        raise InvalidRequest("cursor is required")
    places, accounts = cursor.decode(application.id, start), _accounts(application)
    windows = {id: view.of(query, account) for id, account in accounts.items()}
    found = together.after(
        {id: places.of(id) for id in accounts},
        _newest(accounts),
        places.turn,
        view.limit(query),
        lambda id, share: windows[id].feed(share, bounds.ACCOUNT_BATCH_BYTES),
    )
    end = cursor.encode(application.id, places.moved(found.ends, found.turn)) if found.batches else start
    return wire.dump_batch(start, end, _shown(found, places, numbered=bool(query.flag("seq"))))


def _accounts(application: Application) -> Accounts:
    return {account.id: account for account in services().accounts.of_application(application.id)}


def _newest(accounts: Accounts) -> dict[str, int]:
    return {id: seq for id, (seq, _) in services().log.places(accounts).items()}


def _shown(found: together.Round, places: cursor.Places, numbered: bool) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for id, batch in found.batches:
        deltas = follow.in_order(batch.shown, places.of(id)) if numbered else [one for _, one in batch.shown]
        shown += [{**one, "account_id": id} for one in deltas]
    return shown
