"""Queue `edits`: changes the API has made and the mail server has yet to hear of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.domain.accounts.account import RESTING
from chalicelib.errors import AuthRejected
from chalicelib.services import services
from chalicelib.sync.accounts.schedule import REPAIR_DELAY
from chalicelib.workers import sync


def run(body: Mapping[str, Any]) -> None:
    """Make one change on the mail server, then have the account synced; failures are repeated.

    A job that names a sent mail makes sure that it is stored and filed.
    """
    account = services().accounts.get(body["account_id"])
    if account is None or account.state in RESTING:
        return
    try:
        if "sent" in body:
            services().finish_sending(account, body)
            return
        services().apply_edit(account, body)
    except AuthRejected as error:
        if not sync.reject(account, error):
            raise  # one refusal may be the server's hiccup
        # The change is given up: reconnecting has the account compared with its server.
        return
    services().queues.send("sync", [{"account_id": account.id}], account.application_id)


def give_up(body: Mapping[str, Any]) -> None:
    """Have the account compared with its server a little later: the change is undone then."""
    id = body["account_id"]
    job: dict[str, str | int] = {"account_id": id, "repair": 1, "settled": REPAIR_DELAY // 2}
    account = services().accounts.get(id)
    services().queues.send("sync", [job], account.application_id if account else id, delay=REPAIR_DELAY)
