"""How far the copy of a sent mail has come on its way into Sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256


class Stage(StrEnum):
    """What has been done about the copy, each noted before or after the step that a crash may cut."""

    SENT = "sent"
    """The mail was taken for delivery; the mail server was not asked to keep a copy yet."""
    OFFERED = "offered"
    """The server was about to be given the copy: whether it has taken it, it alone knows."""
    FILED = "filed"
    """The copy has been in Sent, and is never put there again."""


@dataclass(frozen=True, slots=True)
class Filing:
    """A stage, and with OFFERED the `end` of Sent as the provider told it just before."""

    stage: Stage = Stage.SENT
    end: str = ""


def filing_key(raw: bytes) -> str:
    """Return what a sent mail is known by: the last part of the name under which its raw form is kept."""
    return sha256(raw).hexdigest()
