"""/account."""

from __future__ import annotations

from typing import Any

from chalicelib.api.manage.progress import progress_of
from chalicelib.http import access
from chalicelib.http.query import Query
from chalicelib.http.routes import Routes
from chalicelib.wire.accounts import account as wire

accounts = Routes(__name__)


@accounts.route("/account", methods=["GET"])
def show_account() -> Any:
    """Return the account of the access token."""
    account = access.account(accounts.current_request)
    Query(accounts.current_request).view("expanded")
    return wire.dump(account)


@accounts.route("/account/progress", methods=["GET"])
def show_own_progress() -> Any:
    """Return how far the sync of the account of the access token has come."""
    account = access.account(accounts.current_request)
    Query(accounts.current_request)
    return progress_of(account)
