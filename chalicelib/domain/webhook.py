"""A customer's endpoint and what it wants to hear."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.delta import Change, Event

TRIGGERS = frozenset(
    {
        "account.connected", "account.running", "account.stopped", "account.invalid",
        "account.sync_error", "message.created", "message.updated",
    }
)  # fmt: skip

_MESSAGE = {Event.CREATE: "message.created", Event.MODIFY: "message.updated"}
_ACCOUNT = {
    "initializing": "account.connected",
    "running": "account.running",
    "stopped": "account.stopped",
    "invalid-credentials": "account.invalid",
    "sync-error": "account.sync_error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """`state` is active, inactive, failing or failed."""

    id: str
    application_id: str
    callback_url: str
    triggers: frozenset[str]
    state: str


def trigger_of(change: Change) -> str | None:
    """Name the trigger a change pulls, None if webhooks are not told of it."""
    if change.kind == "message":
        return _MESSAGE.get(change.event)
    if change.kind == "account":
        return _ACCOUNT.get(str(dict(change.attributes).get("sync_state")))
    return None
