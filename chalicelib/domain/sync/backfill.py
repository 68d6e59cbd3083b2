"""History of an account that is still to come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a backfill stands."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    THROTTLED = "throttled"
    """The mail server has asked for patience."""
    FAILING = "failing"
    """The mail server failed; it is asked again."""
    SPENT = "spent"
    """The bytes of the day are used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """An account's place among those who wait; times are Unix seconds.

    It waits `since`. Until `until` it is left alone: it is queued, running or at rest. It has `begun` when
    its first screens are there.
    """

    account_id: str
    application_id: str
    host: str
    since: float
    until: int = 0
    stage: Stage = Stage.WAITING
    begun: bool = False

    @property
    def awaits_first_turn(self) -> bool:
        """Whether nothing of it has come yet, and nothing is wrong."""
        return not self.begun and self.stage in (Stage.WAITING, Stage.QUEUED, Stage.RUNNING)

    def is_due(self, now: float) -> bool:
        """Tell whether it may have its next turn."""
        return self.until <= now

    def is_busy(self, now: float) -> bool:
        """Tell whether it holds a place among those that run."""
        return self.stage in (Stage.QUEUED, Stage.RUNNING) and self.until > now
