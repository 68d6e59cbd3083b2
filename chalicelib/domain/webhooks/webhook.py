"""A customer's endpoint and what it wants to hear."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.domain.log.delta import Change, Operation

_OBJECTS = ("contact", "calendar", "event")
_OBJECT_EVENTS = {Operation.CREATE: "created", Operation.MODIFY: "updated", Operation.DELETE: "deleted"}
_MESSAGE = {Operation.CREATE: "message.created", Operation.MODIFY: "message.updated"}
_ACCOUNT = {
    "initializing": "account.connected",
    "running": "account.running",
    "stopped": "account.stopped",
    "invalid-credentials": "account.invalid",
    "sync-error": "account.sync_error",
}
_JOB = {
    "successful": "job.successful",
    "failed": "job.failed",
    "delayed": "job.delayed",
    "cancelled": "job.cancelled",
}
TRACKING = frozenset({"message.opened", "message.link_clicked", "message.bounced", "thread.replied"})

TRIGGERS = frozenset(
    {*_MESSAGE.values(), *_ACCOUNT.values(), *_JOB.values(), *TRACKING}
    | {f"{kind}.{word}" for kind in _OBJECTS for word in _OBJECT_EVENTS.values()}
)
ALIASES = {"job.succesful": "job.successful"}
"""The published schema of v2 misspells one trigger."""

TOLD_STATES = frozenset({"active", "failing"})
"""States in which an endpoint is called."""

HISTORY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """An endpoint came into a state at `at`; since `since` it has accepted nothing. Unix seconds."""

    at: int
    state: str
    reason: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """`state` is active, inactive, failing or failed.

    `activated_at` is when its owner last switched it on (Unix seconds): what was logged before is
    not told by itself. `history` holds the latest state changes, oldest first.
    """

    id: str
    application_id: str
    callback_url: str
    triggers: frozenset[str]
    state: str
    activated_at: int = 0
    history: tuple[StateChange, ...] = ()

    @property
    def has_been_active(self) -> bool:
        """Whether its endpoint has ever answered the challenge."""
        return any(state in TOLD_STATES for state in (self.state, *(one.state for one in self.history)))


def in_state(webhook: Webhook, state: str, reason: str, now: int, since: int | None = None) -> Webhook:
    """Return the webhook in a state; one that comes from rest begins anew."""
    change = StateChange(at=now, state=state, reason=reason, since=now if since is None else since)
    begins = state in TOLD_STATES and webhook.state not in TOLD_STATES
    return replace(
        webhook,
        state=state,
        activated_at=now if begins else webhook.activated_at,
        history=(*webhook.history, change)[-HISTORY:],
    )


def outages(webhook: Webhook, now: int) -> list[tuple[int, int]]:
    """Return the spans of Unix time in which the endpoint was told nothing at all."""
    found = []
    ends = [change.at for change in webhook.history[1:]] + [now]
    for change, end in zip(webhook.history, ends, strict=True):
        if change.state not in TOLD_STATES and change.since < end:
            found.append((change.since, end))
    return found


def trigger_of(change: Change) -> str | None:
    """Name the trigger a change pulls, None if webhooks are not told of it."""
    facts = dict(change.attributes)
    if change.kind == "message":
        return _MESSAGE.get(change.event)
    if change.kind == "account":
        return _ACCOUNT.get(str(facts.get("sync_state")))
    if change.kind == "job_status":
        return _JOB.get(str(facts.get("status")))
    if change.kind in _OBJECTS:
        return f"{change.kind}.{_OBJECT_EVENTS[change.event]}"
    trigger = str(facts.get("trigger"))
    return trigger if change.kind == "tracking" and trigger in TRACKING else None
