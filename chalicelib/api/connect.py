"""/connect: native authentication."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from chalicelib import bounds
from chalicelib.api import access
from chalicelib.api.routes import Routes
from chalicelib.auth import connect as connecting
from chalicelib.errors import ConnectFailed, InvalidRequest
from chalicelib.providers import registry
from chalicelib.services import services
from chalicelib.wire import account as wire
from chalicelib.wire import body as read
from chalicelib.wire import connection

connect = Routes(__name__)


@connect.route("/connect/authorize", methods=["POST"])
def authorize() -> Any:
    """Connect a mailbox and return a one-time code."""
    wanted = connection.load(read.parse(connect.current_request.raw_body))
    here = services()
    if here.applications.get(wanted.application_id) is None:
        raise ConnectFailed("client_id names no application.", error="Unknown client_id")
    account = connecting.connect(_desk(), wanted, int(time.time()))
    return {"code": here.tokens.issue_code(wanted.application_id, account.id)}


@connect.route("/connect/token", methods=["POST"])
def exchange() -> Any:
    """Exchange a one-time code for an access token."""
    body = read.parse(connect.current_request.raw_body)
    client_id, secret = read.required(body, "client_id"), read.required(body, "client_secret")
    application = access.verified(client_id, secret)
    here = services()
    account_id = here.tokens.redeem_code(application.id, read.required(body, "code"))
    account = here.accounts.get(account_id) if account_id else None
    if account is None:
        raise InvalidRequest("The code is unknown, used or expired.")
    return wire.dump_connected(account, here.tokens.issue(account.id))


def _desk() -> connecting.Desk:
    here = services()
    reach = here.reach.within(bounds.CONNECTING_SECONDS)
    return connecting.Desk(
        accounts=here.accounts,
        polls=here.polls,
        queues=here.queues,
        begin=partial(here.enter_backfill, begun=False),
        open_mailbox=partial(registry.provider, reach=reach),
        open_transport=partial(registry.transport, connecting.PROVIDER, reach=reach),
        pepper=here.settings.pepper,
    )
