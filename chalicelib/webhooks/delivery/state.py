"""The state of an endpoint, changed by how it answers; its owner may have been faster."""

from __future__ import annotations

import logging

from chalicelib.domain.webhooks.circuit import Circuit
from chalicelib.domain.webhooks.webhook import TOLD_STATES, Webhook, in_state
from chalicelib.store.ports.webhooks import Webhooks
from chalicelib.webhooks.delivery import health

log = logging.getLogger(__name__)


def judged(webhooks: Webhooks, webhook: Webhook, circuit: Circuit, now: int) -> str:
    """Move an endpoint to the state its answers put it in and return the one it is in."""
    fresh = webhooks.get(webhook.application_id, webhook.id)
    if fresh is None:
        return "deleted"
    state = health.verdict(fresh, circuit, now)
    if state == fresh.state:
        return state
    since = circuit.failing_since if state == "failing" else None
    if state == "failed":
        since = fresh.history[-1].since
    return _change(webhooks, fresh, in_state(fresh, state, health.reason(state, circuit, now), now, since))


def switch(webhooks: Webhooks, webhook: Webhook, state: str, reason: str, now: int) -> None:
    """Stop telling an endpoint."""
    fresh = webhooks.get(webhook.application_id, webhook.id)
    if fresh and fresh.state in TOLD_STATES:
        _change(webhooks, fresh, in_state(fresh, state, reason, now))


def _change(webhooks: Webhooks, old: Webhook, new: Webhook) -> str:
    """Store a new state unless the owner was faster; an alarm reads the log for these lines."""
    if not webhooks.change(old, new):
        return old.state
    level = logging.INFO if new.state == "active" else logging.ERROR
    log.log(level, "webhook %s is %s: %s", new.id, new.state, new.history[-1].reason)
    return new.state
