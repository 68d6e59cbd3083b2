"""/account."""

from __future__ import annotations

from typing import Any

from chalicelib.api import access
from chalicelib.api.query import Query
from chalicelib.api.routes import Routes
from chalicelib.wire import account as wire

accounts = Routes(__name__)


@accounts.route("/account", methods=["GET"])
def show_account() -> Any:
    """Return the account of the access token."""
    account = access.account(accounts.current_request)
    Query(accounts.current_request).view("expanded")
    return wire.dump(account)
