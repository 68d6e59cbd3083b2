"""One request to an endpoint, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chalicelib.domain.webhooks.delivery import Attempt
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.errors import ProviderError, Refused

EXCERPT = 200
"""Characters of an answer that the ledger keeps."""

USER_AGENT = "postern-webhooks"


class Send(Protocol):
    """Hands a body of an application to a destination. Raises ProviderError if there is no answer in time."""

    def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], application_id: str
    ) -> HttpResponse: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """An attempt, how long the endpoint asked us to wait, and whether we may not call it at all."""

    attempt: Attempt
    retry_after: int | None = None
    refused: bool = False


def post(send: Send, webhook: Webhook, body: bytes, signed: Mapping[str, str], now: int) -> Reply:
    """Make one request; whatever goes wrong is in the reply. `signed` are the headers that vouch for it."""
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, **signed}
    began = time.monotonic()
    try:
        answer = send(webhook.callback_url, body, headers, webhook.application_id)
    except ProviderError as error:
        attempt = Attempt(at=now, status=0, ms=_ms(began), error=error.message[:EXCERPT])
        return Reply(attempt, refused=isinstance(error, Refused))
    attempt = Attempt(at=now, status=answer.status, ms=_ms(began), excerpt=_excerpt(answer.body))
    return Reply(attempt, answer.retry_after)


def _ms(began: float) -> int:
    return round(1000 * (time.monotonic() - began))


def _excerpt(body: bytes) -> str:
    text = body[: 4 * EXCERPT].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in text)[:EXCERPT].strip()
