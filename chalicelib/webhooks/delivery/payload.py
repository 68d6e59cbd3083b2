"""The notification as it goes over the wire: ids only, no content of mails."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib.domain.log.delta import Change, Delta
from chalicelib.domain.webhooks.webhook import trigger_of

_ATTRIBUTES = {
    "message": ("thread_id", "received_date"),
    "event": ("calendar_id", "created_before_account_connection"),
    "job_status": ("action", "job_status_id", "message_id", "thread_id"),
}
_EXTRAS = ("reason", "send_at", "original_send_at")


def build(entries: Iterable[Delta]) -> bytes:
    """Return the body of one notification.

    Receivers verify the signature over what their own JSON library makes of the parsed body, so
    the order of keys and the compact, unescaped form are part of the promise.
    """
    return encoded([_delta(entry) for entry in entries])


def encoded(deltas: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the bytes of a notification that holds these."""
    return json.dumps({"deltas": list(deltas)}, ensure_ascii=False, separators=(",", ":")).encode()


def _delta(entry: Delta) -> dict[str, Any]:
    change = entry.change
    trigger = trigger_of(change)
    kind = _object(change, trigger)
    return {
        "date": entry.at,
        "object": kind,
        "type": trigger,
        "object_data": {
            "namespace_id": change.account_id,
            "account_id": change.account_id,
            "object": kind,
            "attributes": _attributes(change),
            "id": change.id,
            "metadata": _metadata(change),
        },
    }


def _object(change: Change, trigger: str | None) -> str:
    """v2 calls opens and clicks `metadata` and a reply in a tracked thread `message`."""
    if change.kind != "tracking":
        return change.kind
    return "metadata" if trigger in ("message.opened", "message.link_clicked") else "message"


def _attributes(change: Change) -> dict[str, Any] | None:
    names = _ATTRIBUTES.get(change.kind)
    if names is None:
        return None
    known = dict(change.attributes)
    found: dict[str, Any] = {name: known.get(name) for name in names}
    if change.kind == "event":
        found["created_before_account_connection"] = bool(found["created_before_account_connection"])
    if change.kind == "job_status":
        found["extras"] = {name: known[name] for name in _EXTRAS if name in known} or None
    return found


def _metadata(change: Change) -> Any:
    """Facts of tracking travel through the log as one JSON text: attributes there are flat."""
    facts = dict(change.attributes).get("metadata") if change.kind == "tracking" else None
    return json.loads(facts) if isinstance(facts, str) else None
