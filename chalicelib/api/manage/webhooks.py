"""/a/{client_id}/webhooks, and the client secret that signs."""

from __future__ import annotations

import time
from typing import Any

from chalicelib.domain.accounts.application import Application
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.http import access
from chalicelib.http.query import Query, existing, object_id
from chalicelib.http.routes import Routes
from chalicelib.ids import random_id
from chalicelib.services import services
from chalicelib.wire import body as read
from chalicelib.wire.webhooks import delivery as ledger
from chalicelib.wire.webhooks import webhook as wire

webhooks = Routes(__name__)


@webhooks.route("/a/{client_id}/webhooks", methods=["GET"])
def list_webhooks(client_id: str) -> Any:
    """Return the application's webhooks, oldest first."""
    application = access.application(webhooks.current_request, client_id)
    query = Query(webhooks.current_request)
    return [wire.dump(one) for one in query.page(services().webhooks.of_application(application.id))]


@webhooks.route("/a/{client_id}/webhooks", methods=["POST"])
def create_webhook(client_id: str) -> Any:
    """Create a webhook; an active one must answer the challenge first."""
    application = access.application(webhooks.current_request, client_id)
    body = read.parse(webhooks.current_request.raw_body)
    settings = services().settings
    listed = settings.destinations_of(application.id)
    wanted = wire.load(body, random_id(), application.id, settings.local, destinations=listed)
    return wire.dump(services().office.create(wanted))


@webhooks.route("/a/{client_id}/webhooks/{id}", methods=["GET"])
def show_webhook(client_id: str, id: str) -> Any:
    """Return one webhook."""
    return wire.dump(_one(access.application(webhooks.current_request, client_id), id))


@webhooks.route("/a/{client_id}/webhooks/{id}", methods=["PUT"])
def update_webhook(client_id: str, id: str) -> Any:
    """Set the state; becoming active runs the challenge again."""
    webhook = _one(access.application(webhooks.current_request, client_id), id)
    state = wire.state(read.parse(webhooks.current_request.raw_body))
    return wire.dump(services().office.switch(webhook, state))


@webhooks.route("/a/{client_id}/webhooks/{id}", methods=["DELETE"])
def delete_webhook(client_id: str, id: str) -> None:
    """Remove a webhook."""
    services().office.remove(_one(access.application(webhooks.current_request, client_id), id))


@webhooks.route("/a/{client_id}/webhooks/{id}/health", methods=["GET"])
def show_health(client_id: str, id: str) -> Any:
    """Return how the endpoint has answered lately and how it came to its state."""
    webhook = _one(access.application(webhooks.current_request, client_id), id)
    return ledger.dump_health(webhook, services().office.circuit(webhook), int(time.time()))


@webhooks.route("/a/{client_id}/rotate_secret", methods=["POST"])
def rotate_secret(client_id: str) -> Any:
    """Replace the client secret; the one before stays valid for a while."""
    newest = access.newest_secret(webhooks.current_request, client_id)
    body = read.parse(webhooks.current_request.raw_body)
    secret, until = services().office.rotate(client_id, newest, wire.overlap(body))
    return {"client_secret": secret, "previous_valid_until": until}


@webhooks.route("/a/{client_id}/previous_secret", methods=["DELETE"])
def end_previous_secret(client_id: str) -> Any:
    """Have only the newest client secret be valid from now on; without an older one nothing changes."""
    newest = access.newest_secret(webhooks.current_request, client_id)
    services().office.end_overlap(client_id, newest)
    return {"previous_valid_until": None}


def _one(application: Application, id: str) -> Webhook:
    return existing(services().webhooks.get(application.id, object_id(id)), id)
