"""Queue `deliveries`: one notification is due."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from chalicelib.providers import http
from chalicelib.services import services
from chalicelib.webhooks import deliver


def run(body: Mapping[str, Any]) -> None:
    """Make one attempt at one delivery."""
    every = services()
    post = http.Client(allow_local=every.settings.local).post
    desk = deliver.Desk(
        webhooks=every.webhooks,
        applications=every.applications,
        deliveries=every.deliveries,
        log=every.log,
        post=post,
        jitter=random.SystemRandom().uniform,
    )
    deliver.attempt(desk, body["webhook_id"], body["delivery_id"], now=int(time.time()))
