"""Queue `deliveries`: an endpoint may have something to hear."""

from __future__ import annotations

from chalicelib.clock import Deadline
from chalicelib.domain.jobs import Wake
from chalicelib.services import services

SECONDS = 20.0
"""How long one message may keep a worker; an attempt that is under way then is finished."""


def run(wake: Wake, received: int = 1) -> None:
    """Tell an endpoint what is left of one lane, or look at all its lanes."""
    webhook = services().webhooks.get(wake.application_id, wake.webhook_id)
    if webhook is not None:
        services().deliver(webhook, wake.lane, Deadline.after(SECONDS))
