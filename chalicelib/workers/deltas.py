"""Streams of `mail` and `core`: changed objects go into the delta log of their account."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.domain.log.delta import Change
from chalicelib.services import services


def parse(record: Mapping[str, Any]) -> tuple[str, Change] | None:
    """Return the change a stream record tells of, with its account; None for inner rows."""
    change = services().change_of(record)
    return (change.account_id, change) if change else None


def run(account_id: str, changes: Sequence[Change]) -> None:
    """Log the changes of one account, in order; those logged before are left out."""
    services().log.append(account_id, changes, int(time.time()))
