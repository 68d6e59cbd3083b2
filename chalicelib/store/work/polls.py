"""Which accounts are to be polled (table `work`)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from chalicelib.config import Settings
from chalicelib.store.aws.dynamo import Item, Table, key
from chalicelib.store.values import Poll

_SHARDS = 16
_COVERED = "POLL"


class PollTable:
    """The port Polls, in sixteen partitions: the tick needs no scan and no partition runs hot."""

    def __init__(self, client: Any, settings: Settings) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")

    def put(self, poll: Poll) -> None:
        row = key(_shard_of(poll.account_id), poll.account_id)
        times = {"active_at": poll.active_at, "retry_at": poll.retry_at}
        row |= {name: {"N": str(at)} for name, at in times.items() if at} | {"host": {"S": poll.host}}
        row |= {"application_id": {"S": poll.application_id}}
        self._table.write_many([row])

    def rest(self, account_id: str, until: int) -> None:
        client = self._table.client
        with suppress(client.exceptions.ConditionalCheckFailedException):
            client.update_item(
                TableName=self._table.name,
                Key=key(_shard_of(account_id), account_id),
                UpdateExpression="SET retry_at = :until",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":until": {"N": str(until)}},
            )

    def remove(self, account_id: str) -> None:
        self._table.write_many(deletes=[(_shard_of(account_id), account_id)])

    def all(self) -> Iterator[Poll]:
        for shard in range(_SHARDS):
            for page in self._table.pages(_shard(shard)):
                for row in page:
                    yield Poll(
                        account_id=row["sk"]["S"],
                        active_at=_time(row, "active_at"),
                        retry_at=_time(row, "retry_at"),
                        host=_text(row, "host"),
                        application_id=_text(row, "application_id"),
                    )

    def covered(self) -> int:
        row = self._table.get(_COVERED, _COVERED)
        return int(row["until"]["N"]) if row else 0

    def cover(self, until: int) -> None:
        self._table.write_many([key(_COVERED, _COVERED) | {"until": {"N": str(until)}}])


def _time(row: Item, name: str) -> int:
    return int(row[name]["N"]) if name in row else 0


def _text(row: Item, name: str) -> str:
    return str(row.get(name, {}).get("S", ""))


def _shard(number: int) -> str:
    return f"POLL#{number}"


def _shard_of(account_id: str) -> str:
    return _shard(zlib.crc32(account_id.encode()) % _SHARDS)
