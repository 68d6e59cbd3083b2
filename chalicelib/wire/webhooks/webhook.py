"""Webhooks as the management API shows and takes them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from chalicelib import bounds
from chalicelib.domain.webhooks.destination import SCHEMES, allowed, of_url
from chalicelib.domain.webhooks.webhook import ALIASES, TRIGGERS, Webhook
from chalicelib.errors import InvalidRequest
from chalicelib.wire import body as read

DEFAULT_OVERLAP, LONGEST_OVERLAP = 86400, 7 * 86400


def dump(webhook: Webhook) -> dict[str, Any]:
    """Return the object."""
    return {
        "id": webhook.id,
        "application_id": webhook.application_id,
        "callback_url": webhook.callback_url,
        "state": webhook.state,
        "triggers": sorted(webhook.triggers),
        "version": "2.0",
    }


def load(
    body: read.Body, id: str, application_id: str, plain_http: bool, destinations: Collection[str] = ()
) -> Webhook:
    """Read a new webhook. Raises InvalidRequest.

    http is taken only where `plain_http` says so, queues and event buses only if `destinations` lists
    their ARNs.
    """
    return Webhook(
        id=id,
        application_id=application_id,
        callback_url=_callback(body, plain_http, destinations),
        triggers=_triggers(body),
        state=state(body, default="active"),
    )


def state(body: read.Body, default: str | None = None) -> str:
    """Read the state a customer may set."""
    value = read.text(body, "state", bounds.FIELD_CHARACTERS) or default
    if value not in ("active", "inactive"):
        raise InvalidRequest("state must be active or inactive")
    return value


def overlap(body: read.Body) -> int:
    """Read for how many seconds the secret before stays valid, a day by default. Raises InvalidRequest."""
    value = body.get("overlap_seconds", DEFAULT_OVERLAP)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LONGEST_OVERLAP:
        raise InvalidRequest(f"overlap_seconds must be a whole number up to {LONGEST_OVERLAP}")
    return value


def _triggers(body: read.Body) -> frozenset[str]:
    names = read.texts(body, "triggers", bounds.TRIGGERS, bounds.FIELD_CHARACTERS)
    if not names:
        raise InvalidRequest("triggers must be a non-empty array of trigger names")
    unknown = sorted(set(names) - TRIGGERS - ALIASES.keys())
    if unknown:
        known = ", ".join(sorted(TRIGGERS))
        raise InvalidRequest(f"Unknown triggers: {', '.join(unknown)[:200]}. Known are: {known}")
    return frozenset(names)


def _callback(body: read.Body, plain_http: bool, destinations: Collection[str]) -> str:
    url = read.required(body, "callback_url", bounds.CALLBACK_CHARACTERS)
    if not url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        return _url(url, plain_http)
    destination = of_url(url)
    if destination is None:
        raise InvalidRequest(
            "callback_url must be sqs://<region>/<account>/<queue> or events://<region>/<account>/<bus>"
        )
    if not allowed(destination, destinations):
        raise InvalidRequest("callback_url is not among the destinations this deployment may write to")
    return url


def _url(url: str, plain_http: bool) -> str:
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or parts.scheme not in (("http", "https") if plain_http else ("https",)):
        raise InvalidRequest("callback_url must be an https URL")
    if parts.username or parts.password or parts.fragment or not url.isascii():
        raise InvalidRequest("callback_url must not hold credentials, a fragment or non-ASCII characters")
    return url
