"""When an endpoint is called failing or failed, and when it is well again: decisions only.

v2's thresholds: failing at 95 % failures over 15 minutes, failed when that has lasted 72 hours.
"""

from __future__ import annotations

from chalicelib.domain.webhooks.circuit import Circuit
from chalicelib.domain.webhooks.webhook import Webhook

FAILURES = 0.95
ENOUGH_ATTEMPTS = 20
QUARTER = 15 * 60
GIVEN_UP_AFTER = 72 * 3600


def verdict(webhook: Webhook, circuit: Circuit, now: int) -> str:
    """Return the state that an endpoint's answers put it in; only its owner leaves failed and inactive."""
    if webhook.state == "active":
        return "failing" if _failing(circuit, now) else "active"
    if webhook.state != "failing":
        return webhook.state
    if not _mostly_failing(circuit, now):
        return "active"
    return "failed" if now - _failing_from(webhook, now) >= GIVEN_UP_AFTER else "failing"


def reason(state: str, circuit: Circuit, now: int) -> str:
    """Say in one sentence why an endpoint came into this state."""
    attempts, failures = circuit.recent(now)
    counted = f"{failures} of {attempts} attempts of the last 15 minutes failed"
    if state == "failed":
        return f"It has been failing for 72 hours; {counted}. Nothing is sent until it is activated again."
    return f"It accepts notifications again; {counted}." if state == "active" else f"{counted}."


def _failing(circuit: Circuit, now: int) -> bool:
    attempts, _ = circuit.recent(now)
    lasting = bool(circuit.streak) and now - circuit.failing_since >= QUARTER
    return _mostly_failing(circuit, now) and (attempts >= ENOUGH_ATTEMPTS or lasting)


def _mostly_failing(circuit: Circuit, now: int) -> bool:
    attempts, failures = circuit.recent(now)
    if not attempts:
        return bool(circuit.streak)
    return failures >= FAILURES * attempts


def _failing_from(webhook: Webhook, now: int) -> int:
    last = webhook.history[-1] if webhook.history else None
    return last.since if last and last.state == "failing" else now
