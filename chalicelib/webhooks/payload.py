"""The notification as it goes over the wire: ids only, no content of mails."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from chalicelib.domain.delta import Change, Delta
from chalicelib.domain.webhook import trigger_of


def build(entries: Iterable[Delta]) -> bytes:
    """Return the body of one notification.

    Receivers verify the signature over what their own JSON library makes of the parsed body, so
    the order of keys and the compact, unescaped form are part of the promise.
    """
    body = {"deltas": [_delta(entry) for entry in entries]}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _delta(entry: Delta) -> dict[str, Any]:
    change = entry.change
    return {
        "date": entry.at,
        "object": change.kind,
        "type": trigger_of(change),
        "object_data": {
            "namespace_id": change.account_id,
            "account_id": change.account_id,
            "object": change.kind,
            "attributes": _attributes(change),
            "id": change.id,
            "metadata": None,
        },
    }


def _attributes(change: Change) -> dict[str, str | int | None] | None:
    if change.kind != "message":
        return None
    known = dict(change.attributes)
    return {"thread_id": known.get("thread_id"), "received_date": known.get("received_date")}
