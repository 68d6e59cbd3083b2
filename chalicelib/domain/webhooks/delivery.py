"""One notification for one endpoint, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.ids import derived_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try: Unix seconds, the endpoint's status (0: none), milliseconds, and what it said.

    `excerpt` is the beginning of the answer, `error` why there was none.
    """

    at: int
    status: int
    ms: int
    excerpt: str = ""
    error: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the endpoint took the notification."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Log entries first_seq..last_seq of one account for one endpoint.

    `count` is the number of notified changes among them, `attempt` the number of tries made (of
    which `attempts` keeps the latest), `due_at` Unix seconds before which nobody tries again;
    `state` is pending, delivered or failed. `lane` names the lane it belongs to, "" for a test event.
    """

    id: str
    webhook_id: str
    application_id: str
    account_id: str
    lane: str
    first_seq: int
    last_seq: int
    count: int
    created_at: int
    due_at: int
    attempt: int = 0
    state: str = "pending"
    attempts: tuple[Attempt, ...] = ()

    @property
    def notification_id(self) -> str:
        """Same for the same content: a replayed notification can be told from a new one."""
        if not self.lane:
            return self.id
        span = (str(self.first_seq), str(self.last_seq))
        return derived_id("notification", self.webhook_id, self.account_id, *span)
