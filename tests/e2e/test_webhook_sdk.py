"""Webhooks as a customer manages them: with the unmodified v2 Python SDK over https."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from nylas import APIClient
from nylas.client.restful_models import Webhook

from tests.fakes.endpoint import LoopbackEndpoint

pytestmark = pytest.mark.e2e


@pytest.fixture
def endpoint() -> Iterator[LoopbackEndpoint]:
    made = LoopbackEndpoint()
    yield made
    made.close()


@pytest.fixture
def nylas(info: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> APIClient:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", info["ca_file"])
    return APIClient(info["client_id"], info["client_secret"], api_server=info["https_url"])


def test_a_webhook_lives_through_its_life(
    nylas: APIClient, info: dict[str, Any], endpoint: LoopbackEndpoint
) -> None:
    made = nylas.webhooks.create()
    made.callback_url, made.state = endpoint.url, Webhook.State.ACTIVE
    made.triggers = [Webhook.Trigger.MESSAGE_CREATED, Webhook.Trigger.THREAD_REPLIED]
    made.save()
    assert endpoint.challenged == 1
    assert (made["state"], made["version"], made["application_id"]) == ("active", "2.0", info["client_id"])
    assert made["id"] in [one["id"] for one in nylas.webhooks.all()]
    found = nylas.webhooks.get(made["id"])
    assert sorted(found["triggers"]) == ["message.created", "thread.replied"]

    sent = requests.post(
        f"{info['api_url']}/a/{info['client_id']}/webhooks/{made['id']}/test",
        auth=(info["client_secret"], ""),
        timeout=30,
    ).json()
    assert sent["state"] == "delivered"
    [(headers, body)] = endpoint.received
    assert Webhook.verify_webhook_signature(headers["X-Nylas-Signature"], body, info["client_secret"])
    assert json.loads(body)["deltas"][0]["type"] == "message.created"

    found.state = Webhook.State.INACTIVE
    found.save()
    assert nylas.webhooks.get(made["id"])["state"] == "inactive"
    nylas.webhooks.delete(made["id"])
    assert made["id"] not in [one["id"] for one in nylas.webhooks.all()]
