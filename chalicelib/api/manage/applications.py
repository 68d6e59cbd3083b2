"""/a/{client_id}: an application and its accounts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chalicelib.api.manage.progress import progress_of
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.jobs import SyncAccount
from chalicelib.domain.mail.folder import ROLES
from chalicelib.domain.mail.labelling import PLACES
from chalicelib.errors import InvalidRequest
from chalicelib.http import access
from chalicelib.http.query import Query
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.wire import body
from chalicelib.wire.accounts import account as wire
from chalicelib.wire.accounts import window

management = Routes(__name__)


@management.route("/a/{client_id}", methods=["GET"])
def show_application(client_id: str) -> Any:
    """Return the application's settings."""
    application = access.application(management.current_request, client_id)
    Query(management.current_request)
    return wire.dump_application(application)


@management.route("/a/{client_id}", methods=["PUT", "POST"])
def update_application(client_id: str) -> Any:
    """Change name, redirect URIs (as a whole), icon or history window; what is absent stays."""
    application = access.application(management.current_request, client_id)
    changed = wire.load_application(application, body.stated(management.current_request.raw_body))
    services().applications.update(changed)
    if changed.history_days != application.history_days:
        accounts = services().accounts.of_application(client_id)
        _sync(client_id, (one for one in accounts if one.history_days is None))
    return wire.dump_application(changed)


@management.route("/a/{client_id}/accounts", methods=["GET"])
def list_accounts(client_id: str) -> Any:
    """Return the application's accounts, oldest first."""
    application = access.application(management.current_request, client_id)
    query = Query(management.current_request)
    return [wire.dump_managed(one) for one in query.page(services().accounts.of_application(application.id))]


@management.route("/a/{client_id}/accounts/{id}", methods=["GET"])
def show_account(client_id: str, id: str) -> Any:
    """Return one account of the application."""
    account = access.managed(management.current_request, client_id, id)
    Query(management.current_request)
    return wire.dump_managed(account)


@management.route("/a/{client_id}/accounts/{id}", methods=["PUT", "POST"])
def update_account(client_id: str, id: str) -> Any:
    """Change how much mail is kept, of the account or of single folders; what is absent stays."""
    account = access.managed(management.current_request, client_id, id)
    Query(management.current_request)
    request = body.stated(management.current_request.raw_body)
    if unknown := request.keys() - window.KEYS:
        raise InvalidRequest(f"Unexpected attribute: {min(unknown)[:100]}")
    folders = {folder.id for folder in services().mail.folders(account.id) if folder.is_synced}
    names = folders | (PLACES if account.traits.labels else ROLES)
    changed = services().accounts.configure(account, window.load_change(request, names))
    if changed != account:
        _sync(changed.application_id, [changed])
    return wire.dump_managed(changed)


@management.route("/a/{client_id}/accounts/{id}/progress", methods=["GET"])
def show_progress(client_id: str, id: str) -> Any:
    """Return how far the sync of an account has come."""
    account = access.managed(management.current_request, client_id, id)
    Query(management.current_request)
    return progress_of(account)


def _sync(application_id: str, accounts: Iterable[Account]) -> None:
    jobs = [SyncAccount(account_id=account.id) for account in accounts]
    if jobs:
        services().queues.send(jobs, application_id)
