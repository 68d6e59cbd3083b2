"""A customer's endpoint on the loopback, and what is delivered to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

import app
from chalicelib.domain.jobs import Wake, dump
from tests.fakes.endpoint import LoopbackEndpoint
from tests.fakes.services import MemoryServices


@pytest.fixture
def endpoint() -> Iterator[LoopbackEndpoint]:
    made = LoopbackEndpoint()
    yield made
    made.close()


def work(here: MemoryServices) -> None:
    for _, wake in here.deliveries.due(int(time.time()) + 1):
        here.queues.send([wake], wake.webhook_id)
    here.deliveries.wakes.clear()
    while here.queues.sent:
        body = json.dumps(dump(here.queues.take(Wake)))
        app.deliver({"Records": [{"messageId": "1", "body": body}]}, None)
