"""/a/{client_id}: an application and its accounts."""

from __future__ import annotations

from typing import Any

from chalicelib.api import access
from chalicelib.api.query import Query
from chalicelib.api.routes import Routes
from chalicelib.services import services
from chalicelib.wire import account as wire
from chalicelib.wire import body

management = Routes(__name__)


@management.route("/a/{client_id}", methods=["GET"])
def show_application(client_id: str) -> Any:
    """Return the application's settings."""
    application = access.application(management.current_request, client_id)
    Query(management.current_request)
    return wire.dump_application(application)


@management.route("/a/{client_id}", methods=["PUT", "POST"])
def update_application(client_id: str) -> Any:
    """Change name, redirect URIs (as a whole) or icon; what is absent stays."""
    application = access.application(management.current_request, client_id)
    changed = wire.load_application(application, body.parse(management.current_request.raw_body))
    services().applications.update(changed)
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
