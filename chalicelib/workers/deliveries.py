"""Queue `deliveries`: an endpoint may have something to hear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.clock import Deadline
from chalicelib.services import services

SECONDS = 20.0
"""How long one message may keep a worker; an attempt that is under way then is finished."""


def run(body: Mapping[str, Any]) -> None:
    """Tell an endpoint what is left of one lane, or look at all its lanes."""
    webhook = services().webhooks.get(body["application_id"], body["webhook_id"])
    if webhook is not None:
        services().deliver(webhook, body["lane"], Deadline.after(SECONDS))
