"""Queue `edits`: changes the API has made and the mail server has yet to hear of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.errors import AuthRejected
from chalicelib.services import services
from chalicelib.workers import sync


def run(body: Mapping[str, Any]) -> None:
    """Make one change on the mail server, then have the account synced; failures are repeated."""
    account = services().accounts.get(body["account_id"])
    if account is None or account.state in sync.RESTING:
        return
    try:
        services().apply_edit(account, body)
    except AuthRejected as error:
        # The change is given up: once the user has reconnected, sync shows what the server holds.
        sync.reject(account, error)
        return
    services().queues.send("sync", [{"account_id": account.id}], account.id)
