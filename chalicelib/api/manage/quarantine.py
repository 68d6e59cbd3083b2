"""/a/{client_id}/accounts/{id}/quarantine: messages that could not be taken in, and what to do about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.jobs import RetryMessage
from chalicelib.domain.sync.quarantine import Quarantined, QuarantineState
from chalicelib.errors import Conflict
from chalicelib.http import access
from chalicelib.http.query import Query, existing, object_id
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.wire.accounts import quarantine as wire

quarantine = Routes(__name__)
_PATH = "/a/{client_id}/accounts/{id}/quarantine"


@quarantine.route(_PATH, methods=["GET"])
def list_quarantined(client_id: str, id: str) -> Any:
    """Return what is set aside, oldest first; `state=skipped` what its owner has skipped."""
    account = access.managed(quarantine.current_request, client_id, id)
    query = Query(quarantine.current_request, frozenset({"state"}))
    state = wire.state(query.text("state"))
    entries = (one for one in services().quarantine.entries(account.id) if one.state is state)
    folders = _folders(account)
    return [wire.dump(entry, folders) for entry in query.page(entries)]


@quarantine.route(_PATH + "/{entry_id}", methods=["GET"])
def show_quarantined(client_id: str, id: str, entry_id: str) -> Any:
    """Return one message that is set aside."""
    account = access.managed(quarantine.current_request, client_id, id)
    Query(quarantine.current_request)
    return wire.dump(_entry(account, entry_id), _folders(account))


@quarantine.route(_PATH + "/{entry_id}/retry", methods=["POST"])
def retry_quarantined(client_id: str, id: str, entry_id: str) -> Any:
    """Have a message tried once more now; it leaves the list if it goes in or is no longer on the server."""
    account = access.managed(quarantine.current_request, client_id, id)
    Query(quarantine.current_request)
    entry = _entry(account, entry_id)
    access.may_sync(account)
    kept = _in_state(entry, QuarantineState.HELD)
    job = RetryMessage(account_id=account.id, entry_id=kept.id)
    services().queues.send([job], account.application_id)
    return {**wire.dump(kept, _folders(account)), "queued": True}


@quarantine.route(_PATH + "/{entry_id}/skip", methods=["POST"])
def skip_quarantined(client_id: str, id: str, entry_id: str) -> Any:
    """Keep a message out for good, unless it is asked to be tried again."""
    account = access.managed(quarantine.current_request, client_id, id)
    Query(quarantine.current_request)
    kept = _in_state(_entry(account, entry_id), QuarantineState.SKIPPED)
    return wire.dump(kept, _folders(account))


def _entry(account: Account, id: str) -> Quarantined:
    found = services().quarantine.get(account.id, object_id(id))
    return existing(found if found and found.state is not QuarantineState.SUSPECT else None, id)


def _in_state(entry: Quarantined, state: QuarantineState) -> Quarantined:
    wanted = replace(entry, state=state)
    if wanted != entry and not services().quarantine.change(entry, wanted):
        raise Conflict("This message is being tried at this moment. Look again and repeat.")
    return wanted


def _folders(account: Account) -> dict[str, str]:
    return {folder.id: folder.display_name for folder in services().mail.folders(account.id)}
