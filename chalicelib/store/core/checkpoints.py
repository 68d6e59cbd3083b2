"""Sync progress and the fenced lease: rows of `core`, written through the plain client.

The lease is {epoch, until}; `until` is in Unix milliseconds. The row is never deleted, so the epoch only
grows. A cursor bears the epoch it was written under and gives way to a later one only: whoever was
overtaken cannot move back what the next holder has moved.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.remote import Cursor
from chalicelib.domain.sync.progress import Tally
from chalicelib.store.aws.connection import client
from chalicelib.store.core.rows import account_pk
from chalicelib.store.values import Lease, LeaseLost

_LEASE = "LEASE"
_CURSOR_PREFIX = "CP#"
_DIED = "died"
_NAMES = {"#epoch": "epoch", "#until": "until"}
_NOT_LATER = "attribute_not_exists(#epoch) OR #epoch <= :epoch"

_Item = dict[str, Any]


class CheckpointTable:
    """The port Checkpoints."""

    def __init__(self, settings: Settings, now: Clock = time.time) -> None:
        self._dynamodb = client(settings, "dynamodb")
        self._table = f"{settings.table_prefix}-core"
        self._now = now
        self._until: dict[tuple[str, int], float] = {}

    def cursors(self, account_id: str) -> dict[str, Cursor]:
        return {id: Cursor(item["cursor"]["S"]) for id, item in self._rows(account_id)}

    def tallies(self, account_id: str) -> dict[str, Tally]:
        found = self._rows(account_id)
        return {id: Tally(**json.loads(item["tally"]["S"])) for id, item in found if "tally" in item}

    def _rows(self, account_id: str) -> list[tuple[str, _Item]]:
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
        return [(item["sk"]["S"].removeprefix(_CURSOR_PREFIX), item) for item in items]

    def acquire(self, account_id: str, seconds: float) -> Lease | None:
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
                ReturnValues="UPDATED_OLD",
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return None
        before = answer.get("Attributes", {})
        epoch = int(before["epoch"]["N"]) + 1 if "epoch" in before else 1
        died = self._died(account_id) if "until" in before and int(before["until"]["N"]) else 0
        self._until[account_id, epoch] = now / 1000 + seconds
        return Lease(account_id=account_id, epoch=epoch, seconds=seconds, died=died)

    def save(self, lease: Lease, folder_id: str, cursor: Cursor | None, tally: Tally | None = None) -> None:
        """Move one cursor (None forgets it) with its tally; half-way through the lease prolong it, too.

        Raises LeaseLost if a later holder was here.
        """
        mine = lease.account_id, lease.epoch
        if self._now() > self._until.get(mine, 0.0) - lease.seconds / 2:
            self._set_until(lease, self._now() + lease.seconds)
            self._until[mine] = self._now() + lease.seconds
        request = {
            "TableName": self._table,
            "ConditionExpression": _NOT_LATER,
            "ExpressionAttributeNames": {"#epoch": "epoch"},
            "ExpressionAttributeValues": {":epoch": {"N": str(lease.epoch)}},
        }
        key = _key(lease.account_id, _CURSOR_PREFIX + folder_id)
        try:
            if cursor is None:
                self._dynamodb.delete_item(**request, Key=key)
            else:
                item = {**key, "cursor": {"S": cursor}, "epoch": {"N": str(lease.epoch)}}
                if tally:
                    item["tally"] = {"S": json.dumps(asdict(tally))}
                self._dynamodb.put_item(**request, Item=item)
        except self._dynamodb.exceptions.ConditionalCheckFailedException as error:
            raise LeaseLost(lease.account_id) from error

    def release(self, lease: Lease) -> None:
        self._until.pop((lease.account_id, lease.epoch), None)
        with suppress(LeaseLost):
            self._set_until(lease, 0.0)

    def _died(self, account_id: str) -> int:
        """Count a holder who never gave the lease back; only whoever finds it so writes this."""
        answer = self._dynamodb.update_item(
            TableName=self._table,
            Key=_key(account_id, _LEASE),
            UpdateExpression="ADD #died :one",
            ExpressionAttributeNames={"#died": _DIED},
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"][_DIED]["N"])

    def _set_until(self, lease: Lease, until: float) -> None:
        given_back = not until
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(lease.account_id, _LEASE),
                UpdateExpression="SET #until = :until" + (" REMOVE #died" if given_back else ""),
                ConditionExpression="#epoch = :epoch",
                ExpressionAttributeNames=_NAMES | ({"#died": _DIED} if given_back else {}),
                ExpressionAttributeValues={
                    ":epoch": {"N": str(lease.epoch)},
                    ":until": {"N": str(int(until * 1000))},
                },
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException as error:
            raise LeaseLost(lease.account_id) from error


def _key(account_id: str, sk: str) -> _Item:
    return {"pk": {"S": account_pk(account_id)}, "sk": {"S": sk}}
