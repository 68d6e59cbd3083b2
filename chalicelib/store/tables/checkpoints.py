"""Sync progress and the fenced lease: rows of `core`, written through the plain client.

The lease is {epoch, until}; `until` is in Unix milliseconds. The row is never deleted, so the epoch
only grows, and a cursor is written in one transaction with a check of the epoch.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.change import Cursor
from chalicelib.store.connection import client
from chalicelib.store.ports import Lease, LeaseLost
from chalicelib.store.tables.core import account_pk

_LEASE = "LEASE"
_CURSOR_PREFIX = "CP#"
_TRIES = 8
_PAUSE = 0.05
_NAMES = {"#epoch": "epoch", "#until": "until"}
_FAILED = "ConditionalCheckFailed"
_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})

_Item = dict[str, Any]


class CheckpointTable:
    """The port Checkpoints."""

    def __init__(
        self, settings: Settings, now: Clock = time.time, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._dynamodb = client(settings, "dynamodb")
        self._table = f"{settings.table_prefix}-core"
        self._now = now
        self._sleep = sleep

    def cursors(self, account_id: str) -> dict[str, Cursor]:
        """Return every folder's cursor by folder id, strongly consistent."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={
                ":pk": {"S": account_pk(account_id)},
                ":prefix": {"S": _CURSOR_PREFIX},
            },
            ConsistentRead=True,
        )
        items = (item for page in pages for item in page["Items"])
        return {item["sk"]["S"].removeprefix(_CURSOR_PREFIX): Cursor(item["cursor"]["S"]) for item in items}

    def acquire(self, account_id: str, seconds: float) -> Lease | None:
        """Take the lease; None while somebody else holds it."""
        now = int(self._now() * 1000)
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(account_id, _LEASE),
                UpdateExpression="SET #epoch = if_not_exists(#epoch, :none) + :one, #until = :until",
                ConditionExpression="attribute_not_exists(#until) OR #until < :now",
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues={
                    ":none": {"N": "0"},
                    ":one": {"N": "1"},
                    ":now": {"N": str(now)},
                    ":until": {"N": str(now + int(seconds * 1000))},
                },
                ReturnValues="UPDATED_NEW",
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return None
        epoch = int(answer["Attributes"]["epoch"]["N"])
        return Lease(account_id=account_id, epoch=epoch, seconds=seconds)

    def save(self, lease: Lease, folder_id: str, cursor: Cursor | None) -> None:
        """Move one cursor (None forgets it) and prolong the lease. Raises LeaseLost if it is not ours."""
        actions = [{"Update": self._prolonged(lease)}, self._move(lease.account_id, folder_id, cursor)]
        for attempt in range(1, _TRIES + 1):
            try:
                self._dynamodb.transact_write_items(TransactItems=actions)
                return
            except self._dynamodb.exceptions.TransactionCanceledException as error:
                self._raise_unless_passing(error, lease, last=attempt == _TRIES)
            self._sleep(random.uniform(0, _PAUSE * 2**attempt))  # noqa: S311  # jitter, not a secret

    def release(self, lease: Lease) -> None:
        """Give the lease back; does nothing if it is lost already."""
        try:
            self._dynamodb.update_item(**self._until(lease, 0))
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return

    def _prolonged(self, lease: Lease) -> _Item:
        return self._until(lease, int((self._now() + lease.seconds) * 1000))

    def _until(self, lease: Lease, until: int) -> _Item:
        return {
            "TableName": self._table,
            "Key": _key(lease.account_id, _LEASE),
            "UpdateExpression": "SET #until = :until",
            "ConditionExpression": "#epoch = :epoch",
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": {":epoch": {"N": str(lease.epoch)}, ":until": {"N": str(until)}},
        }

    def _move(self, account_id: str, folder_id: str, cursor: Cursor | None) -> _Item:
        key = _key(account_id, _CURSOR_PREFIX + folder_id)
        if cursor is None:
            return {"Delete": {"TableName": self._table, "Key": key}}
        return {"Put": {"TableName": self._table, "Item": {**key, "cursor": {"S": cursor}}}}

    def _raise_unless_passing(self, error: ClientError, lease: Lease, last: bool) -> None:
        codes = _reasons(error.response)
        if _FAILED in codes:
            raise LeaseLost(lease.account_id) from error
        if last or not codes & _PASSING:
            raise error


def _key(account_id: str, sk: str) -> _Item:
    return {"pk": {"S": account_pk(account_id)}, "sk": {"S": sk}}


def _reasons(response: Mapping[str, Any]) -> set[str]:
    return {reason["Code"] for reason in response.get("CancellationReasons", ()) if reason.get("Code")}
