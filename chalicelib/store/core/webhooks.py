"""Customers' endpoints: rows of `core` in the partition of their application."""

from __future__ import annotations

import json
import time
from typing import Any

from pynamodb.exceptions import UpdateError

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.webhooks.webhook import StateChange, Webhook
from chalicelib.store.aws.connection import bind
from chalicelib.store.core.rows import WEBHOOK_PREFIX, WebhookRow, application_pk


class WebhookTable:
    """The port Webhooks."""

    def __init__(self, settings: Settings, now: Clock = time.time) -> None:
        bind(settings)
        self._now = now

    def put(self, webhook: Webhook) -> None:
        """Store or replace a webhook; a replaced one keeps its place in the list."""
        created = WebhookRow.created_at
        _key(webhook.application_id, webhook.id).update(
            actions=[
                WebhookRow.kind.set("webhook"),
                WebhookRow.id.set(webhook.id),
                WebhookRow.application_id.set(webhook.application_id),
                WebhookRow.callback_url.set(webhook.callback_url),
                WebhookRow.triggers.set(sorted(webhook.triggers)),
                *_state(webhook),
                created.set(created | int(self._now() * 1_000_000)),
            ]
        )

    def change(self, old: Webhook, new: Webhook) -> bool:
        row = _key(new.application_id, new.id)
        try:
            row.update(
                actions=_state(new),
                condition=(WebhookRow.state == old.state)
                & (
                    WebhookRow.activated_at == old.activated_at
                    if old.activated_at
                    else WebhookRow.id.exists()
                ),
            )
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def get(self, application_id: str, id: str) -> Webhook | None:
        try:
            row = WebhookRow.get(application_pk(application_id), WEBHOOK_PREFIX + id, consistent_read=True)
        except WebhookRow.DoesNotExist:
            return None
        return _webhook(row)

    def of_application(self, application_id: str) -> list[Webhook]:
        rows = WebhookRow.query(
            application_pk(application_id), WebhookRow.sk.startswith(WEBHOOK_PREFIX), consistent_read=True
        )
        return [_webhook(row) for row in sorted(rows, key=lambda row: (row.created_at, row.id))]

    def delete(self, application_id: str, id: str) -> None:
        _key(application_id, id).delete()


def _key(application_id: str, id: str) -> WebhookRow:
    return WebhookRow(application_pk(application_id), WEBHOOK_PREFIX + id)


def _state(webhook: Webhook) -> list[Any]:
    history = [[change.at, change.state, change.reason, change.since] for change in webhook.history]
    return [
        WebhookRow.state.set(webhook.state),
        WebhookRow.activated_at.set(webhook.activated_at),
        WebhookRow.history.set(json.dumps(history, ensure_ascii=False)),
    ]


def _change(at: int, state: str, reason: str, since: int) -> StateChange:
    return StateChange(at=at, state=state, reason=reason, since=since)


def _webhook(row: WebhookRow) -> Webhook:
    return Webhook(
        id=row.id,
        application_id=row.application_id,
        callback_url=row.callback_url,
        triggers=frozenset(row.triggers),
        state=row.state,
        activated_at=int(row.activated_at or 0),
        history=tuple(_change(*entry) for entry in json.loads(row.history or "[]")),
    )
