"""Messages that are set aside, as the management API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.domain.sync.quarantine import Quarantined, QuarantineState
from chalicelib.errors import InvalidRequest

STATES = (QuarantineState.HELD, QuarantineState.SKIPPED)


def dump(entry: Quarantined, folders: Mapping[str, str]) -> dict[str, Any]:
    """Return one entry; `folders` has display names by id."""
    return {
        "id": entry.id,
        "account_id": entry.account_id,
        "folder_id": entry.folder_id,
        "folder": folders.get(entry.folder_id),
        "remote_id": entry.remote_id,
        "cause": entry.cause.value,
        "reason": entry.reason,
        "state": entry.state.value,
        "attempts": entry.attempts,
        "first_seen_at": entry.first_at,
        "last_attempt_at": entry.last_at,
    }


def state(text: str | None) -> QuarantineState:
    """Return the state asked for, `held` if none was. Raises InvalidRequest."""
    if text is None:
        return QuarantineState.HELD
    if text not in STATES:
        raise InvalidRequest(f"state must be one of {', '.join(STATES)}")
    return QuarantineState(text)
