"""A test event: shows an endpoint's owner at once what a notification meets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.errors import Conflict
from chalicelib.ids import dated_id
from chalicelib.webhooks.delivery import deliver, payload
from chalicelib.webhooks.manage import endpoint

TEST_ACCOUNT = "0" * 25
_OBJECTS = {"job": "job_status", "thread": "message"}
_TRACKED = ("message.opened", "message.link_clicked")


def send(delivering: deliver.Delivering, webhook: Webhook, trigger: str, nonce: str) -> Delivery:
    """Send one made-up notification and return its entry in the ledger; nothing is tried again.

    It bears an account id of zeros. It is sent whatever state the endpoint is in and changes none. Raises
    Conflict if the endpoint has never answered a challenge: it may be a stranger's.
    """
    if endpoint.needs_challenge(webhook) and not webhook.has_been_active:
        raise Conflict("This webhook has never been active: its endpoint has not answered the challenge.")
    now = int(delivering.now())
    begun = Delivery(
        id=dated_id(now, webhook.id, "test", nonce),
        webhook_id=webhook.id,
        application_id=webhook.application_id,
        account_id=TEST_ACCOUNT,
        lane="",
        first_seq=0,
        last_seq=0,
        count=1,
        created_at=now,
        due_at=now,
        attempt=1,
    )
    reply = delivering.post(webhook, payload.encoded([_event(trigger, now)]), begun.notification_id)
    state = "delivered" if reply.attempt.accepted else "failed"
    done = replace(begun, attempts=(reply.attempt,), state=state)
    delivering.deliveries.record(done)
    return done


def _event(trigger: str, now: int) -> dict[str, Any]:
    kind = trigger.partition(".")[0]
    kind = "metadata" if trigger in _TRACKED else _OBJECTS.get(kind, kind)
    attributes = {"thread_id": TEST_ACCOUNT, "received_date": now} if kind == "message" else None
    return {
        "date": now,
        "object": kind,
        "type": trigger,
        "object_data": {
            "namespace_id": TEST_ACCOUNT,
            "account_id": TEST_ACCOUNT,
            "object": kind,
            "attributes": attributes,
            "id": TEST_ACCOUNT,
            "metadata": None,
        },
    }
