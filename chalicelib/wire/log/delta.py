"""Deltas as the API shows them."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.log.delta import Delta, Operation
from chalicelib.wire.log import cursor


def dump(account_id: str, delta: Delta, attributes: dict[str, Any] | None) -> dict[str, Any]:
    """Return one delta; `attributes` is the object as it is now and left out of a delete."""
    shown: dict[str, Any] = {
        "cursor": cursor.encode(account_id, delta.seq, delta.at),
        "object": delta.change.kind,
        "event": delta.change.event.value,
        "id": delta.change.id,
    }
    if delta.change.event is not Operation.DELETE:
        shown["attributes"] = attributes
    return shown


def dump_batch(start: str, end: str, deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a batch of deltas between two cursors."""
    return {"cursor_start": start, "cursor_end": end, "deltas": deltas}
