"""/a/{client_id}/webhooks."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from chalicelib.api import access
from chalicelib.api.query import Query, existing, object_id
from chalicelib.api.routes import Routes
from chalicelib.domain.account import Application
from chalicelib.domain.webhook import Webhook
from chalicelib.errors import InvalidRequest
from chalicelib.ids import base36, random_id
from chalicelib.providers import http
from chalicelib.services import services
from chalicelib.webhooks import endpoint
from chalicelib.wire import body as read
from chalicelib.wire import webhook as wire

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
    webhook = wire.load(body, random_id(), application.id, plain_http=services().settings.local)
    if any(
        w.callback_url == webhook.callback_url for w in services().webhooks.of_application(application.id)
    ):
        raise InvalidRequest("This application has a webhook with this callback_url already.")
    return _saved(webhook)


@webhooks.route("/a/{client_id}/webhooks/{id}", methods=["GET"])
def show_webhook(client_id: str, id: str) -> Any:
    """Return one webhook."""
    return wire.dump(_one(access.application(webhooks.current_request, client_id), id))


@webhooks.route("/a/{client_id}/webhooks/{id}", methods=["PUT"])
def update_webhook(client_id: str, id: str) -> Any:
    """Set the state; becoming active runs the challenge again."""
    webhook = _one(access.application(webhooks.current_request, client_id), id)
    state = wire.state(read.parse(webhooks.current_request.raw_body))
    return _saved(replace(webhook, state=state))


@webhooks.route("/a/{client_id}/webhooks/{id}", methods=["DELETE"])
def delete_webhook(client_id: str, id: str) -> None:
    """Remove a webhook."""
    webhook = _one(access.application(webhooks.current_request, client_id), id)
    services().webhooks.delete(webhook.application_id, webhook.id)


def _saved(webhook: Webhook) -> dict[str, Any]:
    if webhook.state == "active":
        get = http.Client(allow_local=services().settings.local).get
        if not endpoint.challenge(webhook.callback_url, base36(secrets.randbits(82), 16), get):
            raise InvalidRequest("The callback_url did not answer 200 with the challenge as its body.")
    services().webhooks.put(webhook)
    return wire.dump(webhook)


def _one(application: Application, id: str) -> Webhook:
    return existing(services().webhooks.get(application.id, object_id(id)), id)
