"""Telling an endpoint again: from the log, on lanes of their own beside those of new changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.domain.webhooks.ledger import Replay
from chalicelib.domain.webhooks.webhook import TOLD_STATES, Webhook
from chalicelib.errors import InvalidRequest
from chalicelib.store.ports.accounts import Accounts
from chalicelib.store.ports.webhooks import Deliveries
from chalicelib.webhooks.delivery import deliver

KEPT_SECONDS = 14 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaying:
    """Delivers once more what an owner asks for."""

    deliveries: Deliveries
    accounts: Accounts

    def span(self, webhook: Webhook, asked: Replay, id: str, now: int) -> dict[str, int]:
        """Have a span of time told again, also what never was, say while the endpoint was switched off.

        Returns the number of accounts, or of notifications with `failed_only`. Raises InvalidRequest.
        """
        _require_told(webhook)
        if not now - KEPT_SECONDS <= asked.since <= asked.until:
            raise InvalidRequest("since must be at most 14 days ago and not after until")
        if asked.failed_only:
            found = self.deliveries.failed(webhook.id, asked.since, asked.until)
            failed = [one for one in found if asked.takes(one.account_id)]
            return {"deliveries": again(self.deliveries, webhook, failed, id, now)}
        accounts = [
            one.id for one in self.accounts.of_application(webhook.application_id) if asked.takes(one.id)
        ]
        lanes = [
            replace(_lane(webhook, account_id, id), since=asked.since, until=asked.until)
            for account_id in accounts
        ]
        _begin(self.deliveries, webhook, lanes, now)
        return {"accounts": len(lanes)}


def again(deliveries: Deliveries, webhook: Webhook, chosen: Sequence[Delivery], id: str, now: int) -> int:
    """Have notifications of the ledger sent again; return how many. Raises InvalidRequest."""
    _require_told(webhook)
    lanes = [
        replace(_lane(webhook, delivery.account_id, f"{id}-{number}"), told=delivery.first_seq - 1)
        for number, delivery in enumerate(chosen)
        if delivery.lane
    ]
    ends = [delivery.last_seq for delivery in chosen if delivery.lane]
    lanes = [replace(lane, upto=end) for lane, end in zip(lanes, ends, strict=True)]
    _begin(deliveries, webhook, lanes, now)
    return len(lanes)


def _lane(webhook: Webhook, account_id: str, id: str) -> Lane:
    return Lane(
        webhook_id=webhook.id,
        application_id=webhook.application_id,
        account_id=account_id,
        told=0,
        epoch=webhook.activated_at,
        replay=id,
    )


def _require_told(webhook: Webhook) -> None:
    if webhook.state not in TOLD_STATES:
        raise InvalidRequest(f"The webhook is {webhook.state}: activate it first.")


def _begin(deliveries: Deliveries, webhook: Webhook, lanes: Sequence[Lane], now: int) -> None:
    deliveries.add_lanes(lanes)
    if lanes:
        deliver.wake_endpoint(deliveries, webhook, now)
