"""One change of one object, as the log keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Event(StrEnum):
    """What happened to the object."""

    CREATE = "create"
    MODIFY = "modify"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change before it has a place in the log. `rev` grows with every change of the object.

    `kind` is message, thread, folder, file or account. `attributes` are the few facts webhooks
    carry (thread_id, received_date; state for accounts).
    """

    account_id: str
    kind: str
    id: str
    event: Event
    rev: int
    attributes: tuple[tuple[str, str | int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A change with its place: `seq` is gapless per account, `at` is Unix seconds."""

    seq: int
    at: int
    change: Change
