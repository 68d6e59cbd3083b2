"""The ledger of notifications as the management API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib import bounds
from chalicelib.domain.webhooks.ledger import Missed, Replay
from chalicelib.domain.webhooks.webhook import TRIGGERS, StateChange, Webhook
from chalicelib.errors import InvalidRequest
from chalicelib.wire import body as read

if TYPE_CHECKING:
    from chalicelib.domain.webhooks.circuit import Circuit
    from chalicelib.domain.webhooks.delivery import Attempt, Delivery

STATES = ("pending", "delivered", "failed")


def dump(delivery: Delivery) -> dict[str, Any]:
    """Return one entry; times are Unix seconds, latencies milliseconds."""
    return {
        "id": delivery.id,
        "notification_id": delivery.notification_id,
        "webhook_id": delivery.webhook_id,
        "account_id": delivery.account_id,
        "kind": _kind(delivery),
        "state": delivery.state,
        "changes": delivery.count,
        "created_at": delivery.created_at,
        "next_attempt_at": delivery.due_at if delivery.state == "pending" else None,
        "attempts_made": delivery.attempt,
        "attempts": [_attempt(one) for one in delivery.attempts],
    }


def dump_health(webhook: Webhook, circuit: Circuit, now: int) -> dict[str, Any]:
    """Return how an endpoint is doing and how it came to its state."""
    attempts, failures = circuit.recent(now)
    return {
        "webhook_id": webhook.id,
        "state": webhook.state,
        "last_15_minutes": {"attempts": attempts, "failures": failures},
        "consecutive_failures": circuit.streak,
        "failing_since": circuit.failing_since or None,
        "next_probe_at": circuit.open_until if circuit.resting(now) else None,
        "history": [_change(change) for change in webhook.history],
    }


def dump_missed(missed: Missed) -> dict[str, Any]:
    """Return what an endpoint has not heard."""
    return {
        "outages": [{"since": since, "until": until} for since, until in missed.outages],
        "failed": [dump(delivery) for delivery in missed.failed],
        "behind": [{"account_id": id, "log_entries": count} for id, count in missed.behind],
    }


def load_replay(body: read.Body, now: int) -> Replay:
    """Read what is to be told again. Raises InvalidRequest."""
    return Replay(
        since=_moment(body, "since"),
        until=_moment(body, "until", now),
        account_id=read.text(body, "account_id", bounds.CLIENT_ID_CHARACTERS),
        failed_only=read.flag(body, "failed_only") or False,
    )


def load_test(body: read.Body, triggers: frozenset[str]) -> str:
    """Read which trigger to try, by default one that the webhook has. Raises InvalidRequest."""
    trigger = read.text(body, "trigger", bounds.FIELD_CHARACTERS) or min(triggers)
    if trigger not in TRIGGERS:
        raise InvalidRequest(f"Unknown trigger: {trigger[:100]}")
    return trigger


def state(value: str | None) -> str | None:
    """Read a state of deliveries. Raises InvalidRequest."""
    if value is not None and value not in STATES:
        raise InvalidRequest(f"state must be one of {', '.join(STATES)}")
    return value


def _moment(body: read.Body, key: str, default: int | None = None) -> int:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
        raise InvalidRequest(f"{key} must be Unix seconds")
    return value


def _kind(delivery: Delivery) -> str:
    if not delivery.lane:
        return "test"
    return "replay" if "#" in delivery.lane else "change"


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": attempt.at,
        "status": attempt.status or None,
        "latency_ms": attempt.ms,
        "response": attempt.excerpt,
        "error": attempt.error or None,
    }


def _change(change: StateChange) -> dict[str, Any]:
    return {"at": change.at, "state": change.state, "reason": change.reason, "since": change.since}
