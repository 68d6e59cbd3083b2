"""/connect: native authentication."""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial
from typing import Any

from chalicelib import bounds
from chalicelib.auth import connect as connecting
from chalicelib.http import access, limits, quotas
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.wire import body as read
from chalicelib.wire.accounts import account as wire
from chalicelib.wire.accounts import connection

connect = Routes(__name__)


@connect.route("/connect/authorize", methods=["POST"])
def authorize() -> Any:
    """Try a mailbox's credentials and return a one-time code; nothing else changes.

    An unknown client id is answered like a known one, with a code that nobody can redeem.
    """
    request = connect.current_request
    body = read.parse(request.raw_body)
    wanted = connection.load(body)
    trusted = access.shows_secret(request, wanted.application_id, connection.secret(body))
    quotas.connect(request, wanted.application_id, trusted=trusted)
    with limits.connecting(request, trusted=trusted):
        attempt = partial(quotas.login, request=request, client_id=wanted.application_id, trusted=trusted)
        proof = _connecting(attempt).prove(wanted, int(time.time() * 1000), trusted=trusted)
    known = services().applications.get(wanted.application_id) is not None
    codes = services().codes
    return {"code": codes.issue(proof) if known else codes.decoy()}


@connect.route("/connect/token", methods=["POST"])
def exchange() -> Any:
    """Exchange a one-time code for an access token: the mailbox becomes an account, or renews one."""
    request = connect.current_request
    wanted = connection.load_exchange(read.parse(request.raw_body))
    application = access.verified(request, wanted.client_id, wanted.client_secret)
    proof = services().codes.redeem(application.id, wanted.code) or quotas.wrong_code(application.id)
    account = _connecting(lambda settings: nullcontext()).redeem(proof, int(time.time()))
    return wire.dump_connected(account, services().tokens.issue(account.id, account.epoch))


def _connecting(attempt: connecting.Attempt) -> connecting.Connecting:
    here = services()
    reach = here.reach.within(bounds.CONNECTING_SECONDS)
    return connecting.Connecting(
        accounts=here.accounts,
        polls=here.polls,
        queues=here.queues,
        begin=partial(here.enter_backfill, begun=False),
        open_mailbox=partial(here.mailbox, reach=reach),
        open_transport=partial(here.submission, connecting.PROVIDER, reach=reach),
        pepper=here.settings.pepper,
        attempt=attempt,
    )
