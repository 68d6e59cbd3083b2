"""One change of one object, as the log keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

KINDS = frozenset(
    {
        "account", "calendar", "contact", "draft", "event", "file", "folder", "label", "message", "thread",
    }
)  # fmt: skip
"""Every kind of object whose changes are logged."""

ObjectKey = tuple[str, str]
"""Kind and id of an object."""


class Operation(StrEnum):
    """What happened to the object."""

    CREATE = "create"
    MODIFY = "modify"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change before it has a place in the log. `rev` grows with every change of the object.

    `kind` is one of KINDS. `attributes` are the few facts webhooks carry (thread_id, received_date;
    state for accounts). `expires_at` is when the object leaves the store by itself, 0 for never.
    """

    account_id: str
    kind: str
    id: str
    event: Operation
    rev: int
    attributes: tuple[tuple[str, str | int], ...] = ()
    expires_at: int = 0

    @property
    def name(self) -> ObjectKey:
        """Kind and id of the object."""
        return self.kind, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A change with its place: `seq` is gapless per account, `at` is Unix seconds."""

    seq: int
    at: int
    change: Change
