"""Customers' endpoints: rows of `core` in the partition of their application."""

from __future__ import annotations

import time

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.webhook import Webhook
from chalicelib.store.connection import bind
from chalicelib.store.tables.core import WEBHOOK_PREFIX, WebhookRow, application_pk


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
                WebhookRow.state.set(webhook.state),
                created.set(created | int(self._now() * 1_000_000)),
            ]
        )

    def get(self, application_id: str, id: str) -> Webhook | None:
        """Return one webhook."""
        try:
            row = WebhookRow.get(application_pk(application_id), WEBHOOK_PREFIX + id, consistent_read=True)
        except WebhookRow.DoesNotExist:
            return None
        return _webhook(row)

    def of_application(self, application_id: str) -> list[Webhook]:
        """Return every webhook of an application, oldest first."""
        rows = WebhookRow.query(
            application_pk(application_id), WebhookRow.sk.startswith(WEBHOOK_PREFIX), consistent_read=True
        )
        return [_webhook(row) for row in sorted(rows, key=lambda row: (row.created_at, row.id))]

    def delete(self, application_id: str, id: str) -> None:
        """Remove a webhook; removing none is fine."""
        _key(application_id, id).delete()


def _key(application_id: str, id: str) -> WebhookRow:
    return WebhookRow(application_pk(application_id), WEBHOOK_PREFIX + id)


def _webhook(row: WebhookRow) -> Webhook:
    return Webhook(
        id=row.id,
        application_id=row.application_id,
        callback_url=row.callback_url,
        triggers=frozenset(row.triggers),
        state=row.state,
    )
