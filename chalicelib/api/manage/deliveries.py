"""/a/{client_id}/webhooks/{id}/…: the ledger of notifications, replays, test events."""

from __future__ import annotations

import time
from typing import Any

from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.ledger import Selection
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.http import access
from chalicelib.http.query import Query, existing, object_id
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.wire import body as read
from chalicelib.wire.webhooks import delivery as wire

deliveries = Routes(__name__)


@deliveries.route("/a/{client_id}/webhooks/{id}/deliveries", methods=["GET"])
def list_deliveries(client_id: str, id: str) -> Any:
    """Return the notifications of the last 14 days, newest first; `state`, `since`, `until` select."""
    webhook = _webhook(client_id, id)
    query = Query(deliveries.current_request, frozenset({"state", "since", "until"}))
    found = services().office.select(webhook, _selection(query))
    return [wire.dump(delivery) for delivery in query.page(found)]


@deliveries.route("/a/{client_id}/webhooks/{id}/deliveries/{delivery_id}", methods=["GET"])
def show_delivery(client_id: str, id: str, delivery_id: str) -> Any:
    """Return one notification with its attempts and its body as the log still has it."""
    webhook = _webhook(client_id, id)
    delivery = _delivery(webhook, delivery_id)
    return wire.dump(delivery) | {"body": services().office.body(webhook, delivery)}


@deliveries.route("/a/{client_id}/webhooks/{id}/deliveries/{delivery_id}/replay", methods=["POST"])
def replay_delivery(client_id: str, id: str, delivery_id: str) -> Any:
    """Send one notification again."""
    webhook = _webhook(client_id, id)
    replay_id, count = services().office.again(webhook, _delivery(webhook, delivery_id))
    return {"replay_id": replay_id, "deliveries": count}


@deliveries.route("/a/{client_id}/webhooks/{id}/replay", methods=["POST"])
def replay_span(client_id: str, id: str) -> Any:
    """Send what changed between `since` and `until` again, or with `failed_only` what was given up."""
    webhook = _webhook(client_id, id)
    asked = wire.load_replay(read.parse(deliveries.current_request.raw_body), _now())
    replay_id, begun = services().office.replay(webhook, asked)
    return {"replay_id": replay_id, **begun}


@deliveries.route("/a/{client_id}/webhooks/{id}/test", methods=["POST"])
def send_test(client_id: str, id: str) -> Any:
    """Send a made-up notification now and return what became of it."""
    webhook = _webhook(client_id, id)
    trigger = wire.load_test(read.parse(deliveries.current_request.raw_body), webhook.triggers)
    return wire.dump(services().office.test(webhook, trigger))


@deliveries.route("/a/{client_id}/webhooks/{id}/missed", methods=["GET"])
def show_missed(client_id: str, id: str) -> Any:
    """Return what the endpoint has not heard in the last 14 days."""
    webhook = _webhook(client_id, id)
    query = Query(deliveries.current_request)
    return wire.dump_missed(services().office.missed(webhook, query.limit()))


def _webhook(client_id: str, id: str) -> Webhook:
    application = access.application(deliveries.current_request, client_id)
    return existing(services().webhooks.get(application.id, object_id(id)), id)


def _delivery(webhook: Webhook, id: str) -> Delivery:
    return existing(services().office.delivery(webhook, object_id(id)), id)


def _selection(query: Query) -> Selection:
    until = query.moment("until")
    return Selection(
        since=query.moment("since") or 0,
        until=_now() if until is None else until,
        state=wire.state(query.text("state")),
    )


def _now() -> int:
    return int(time.time())
