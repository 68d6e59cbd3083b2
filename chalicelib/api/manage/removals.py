"""/a/{client_id}/accounts/{id}/removals: large removals that wait for a second look or the owner's word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.jobs import SyncAccount
from chalicelib.errors import Conflict
from chalicelib.http import access
from chalicelib.http.query import Query, existing, object_id
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.store.values import Stale
from chalicelib.wire.accounts import account as wire

removals = Routes(__name__)
_PATH = "/a/{client_id}/accounts/{id}/removals"


@removals.route(_PATH, methods=["GET"])
def list_removals(client_id: str, id: str) -> Any:
    """Return the folders of which so much seems gone that nothing is removed yet."""
    account = access.managed(removals.current_request, client_id, id)
    query = Query(removals.current_request)
    return [wire.dump_frozen(mark) for mark in query.page(account.frozen)]


@removals.route(_PATH + "/{folder_id}/confirm", methods=["POST"])
def confirm_removal(client_id: str, id: str, folder_id: str) -> Any:
    """Have the next sync remove what is gone from this folder without waiting any longer."""
    account = access.managed(removals.current_request, client_id, id)
    Query(removals.current_request)
    mark = _mark(account, folder_id)
    access.may_sync(account)
    confirmed = replace(mark, confirmed=True)
    others = [confirmed if one is mark else one for one in account.frozen]
    try:
        services().accounts.note_frozen(account, others)
    except Stale as error:
        raise Conflict("This changed at this moment. Look again and repeat.") from error
    services().queues.send([SyncAccount(account_id=account.id)], account.application_id)
    return wire.dump_frozen(confirmed)


def _mark(account: Account, folder_id: str) -> FrozenRemoval:
    id = object_id(folder_id)
    return existing(next((one for one in account.frozen if one.folder_id == id), None), id)
