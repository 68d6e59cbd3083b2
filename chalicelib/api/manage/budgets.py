"""/a/{client_id}/budgets: what mail servers have given today, and what is left."""

from __future__ import annotations

from typing import Any

from chalicelib.http import access
from chalicelib.http.query import Query
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.wire.accounts import budget as wire

budgets = Routes(__name__)


@budgets.route("/a/{client_id}/budgets", methods=["GET"])
def list_budgets(client_id: str) -> Any:
    """Return the budgets of a page of accounts, oldest first, and of their mail servers."""
    application = access.application(budgets.current_request, client_id)
    query = Query(budgets.current_request)
    accounts = list(query.page(services().accounts.of_application(application.id)))
    return wire.dump(*services().budgets(accounts))
