"""An owner's hand on an endpoint: create it, switch it on and off, remove it.

Whoever switches on an HTTP endpoint must let it prove that it wants our notifications: the challenge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from chalicelib import bounds
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.domain.webhooks.webhook import TOLD_STATES, Webhook, in_state
from chalicelib.errors import Conflict, InvalidRequest, ProviderError
from chalicelib.store.ports.webhooks import Circuits, Deliveries, Webhooks
from chalicelib.webhooks.delivery import deliver

Get = Callable[[str], HttpResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Creates, switches, removes endpoints; `token` is a fresh challenge: 16 lower-case letters, digits."""

    webhooks: Webhooks
    deliveries: Deliveries
    circuits: Circuits
    get: Get
    token: str

    def create(self, wanted: Webhook, now: int) -> Webhook:
        """Store a new webhook.

        Raises InvalidRequest if there are enough, if its URL is taken or does not pass the challenge.
        """
        others = self.webhooks.of_application(wanted.application_id)
        if len(others) >= bounds.WEBHOOKS:
            raise InvalidRequest(f"An application may have at most {bounds.WEBHOOKS} webhooks.")
        if any(other.callback_url == wanted.callback_url for other in others):
            raise InvalidRequest("This application has a webhook with this callback_url already.")
        if wanted.state == "active":
            self._prove(wanted)
        created = replace(in_state(wanted, wanted.state, "Created.", now), activated_at=now)
        self.webhooks.put(created)
        return created

    def switch(self, webhook: Webhook, state: str, now: int) -> Webhook:
        """Set the state; becoming active runs the challenge and forgets earlier failures.

        An endpoint that was failing goes on where it stopped; one that was inactive or failed hears of
        what happens from now on.
        """
        if state == "active":
            self._prove(webhook)
        if state != webhook.state:
            changed = in_state(webhook, state, "Set by its owner.", now)
            if not self.webhooks.change(webhook, changed):
                raise Conflict("The webhook changed meanwhile; try again.")
            webhook = changed
        if state in TOLD_STATES:
            self.circuits.reset(webhook.id)
            deliver.wake_endpoint(self.deliveries, webhook, now)
        return webhook

    def remove(self, webhook: Webhook) -> None:
        """Remove a webhook and its lanes; its ledger expires by itself."""
        self.webhooks.delete(webhook.application_id, webhook.id)
        self.deliveries.forget(webhook.id)
        self.circuits.reset(webhook.id)

    def _prove(self, webhook: Webhook) -> None:
        """A queue or an event bus needs no proof: the owner of this deployment has listed it."""
        if needs_challenge(webhook) and not challenge(webhook.callback_url, self.token, self.get):
            raise InvalidRequest("The callback_url did not answer 200 with the challenge as its body.")


def challenge(url: str, secret: str, get: Get) -> bool:
    """Tell whether the endpoint answers 200 with exactly the secret it was sent.

    The secret is 16 random lower-case letters and digits; `get` gives up after ten seconds.
    """
    try:
        answer = get(with_challenge(url, secret))
    except ProviderError:
        return False
    return answer.status == 200 and answer.body == secret.encode()


def needs_challenge(webhook: Webhook) -> bool:
    """Tell whether only the endpoint itself can say that it wants to be called."""
    return urlsplit(webhook.callback_url).scheme in ("http", "https")


def with_challenge(url: str, secret: str) -> str:
    """Return the URL with `challenge` set and its other query parameters kept."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "challenge"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("challenge", secret)])))
