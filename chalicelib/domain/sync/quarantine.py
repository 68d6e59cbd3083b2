"""Messages that are set aside because they cannot be taken in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chalicelib import ids
from chalicelib.domain.remote import RemoteId

TRIES = 3
"""So many attempts at one message, then it is set aside."""


class Cause(StrEnum):
    """Whose fault it is."""

    WITHHELD = "withheld"
    """The mail server does not give the message out."""
    POISON = "poison"
    """We cannot parse or store it."""
    FILING = "filing"
    """We sent it, and the mail server does not take its copy; the name is that of the mail we keep."""


class QuarantineState(StrEnum):
    """What becomes of a message that could not be taken in."""

    SUSPECT = "suspect"
    """Attempts are being counted; it is not set aside yet."""
    HELD = "held"
    """Set aside; tried again by the weekly comparison and on request."""
    SKIPPED = "skipped"
    """Set aside for good, by its owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One message on the mail server that is not in the store; times are Unix seconds."""

    id: str
    account_id: str
    folder_id: str
    remote_id: RemoteId
    cause: Cause
    reason: str
    state: QuarantineState
    attempts: int
    first_at: int
    last_at: int

    @property
    def is_unfiled(self) -> bool:
        """Whether it is a sent mail whose copy is to be offered again: not one that its owner has skipped."""
        return self.cause is Cause.FILING and self.state is not QuarantineState.SKIPPED


def entry_id(account_id: str, folder_id: str, remote_id: RemoteId) -> str:
    """Return the id of the entry of a message: the same each time."""
    return ids.derived_id(account_id, "quarantine", folder_id, remote_id)
