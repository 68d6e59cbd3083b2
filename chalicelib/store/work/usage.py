"""Bytes read from mail servers, per UTC day (table `work`)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.store.aws.dynamo import Item, Table, key
from chalicelib.store.values import HostUsage

KEPT_SECONDS = 3 * 86_400
_SLOW = "SLOW"


class UsageTable:
    """The port Usage: a row per day and account, a row per day and host."""

    def __init__(self, client: Any, settings: Settings, now: Clock = time.time) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")
        self._now = now

    def add(self, account_id: str, host: str, received: int) -> None:
        """Count bytes of today: two writes."""
        for pk in (_account(account_id), _host(host)):
            self._table.client.update_item(
                TableName=self._table.name,
                Key=key(pk, self._today()),
                UpdateExpression="ADD received :n SET #ttl = :t",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={
                    ":n": {"N": str(received)},
                    ":t": {"N": str(int(self._now()) + KEPT_SECONDS)},
                },
            )

    def accounts(self, account_ids: Iterable[str]) -> dict[str, int]:
        by_key = {_account(id): id for id in account_ids}
        rows = self._table.get_many((pk, self._today()) for pk in by_key)
        return {by_key[row["pk"]["S"]]: int(row["received"]["N"]) for row in rows}

    def hosts(self, hosts: Iterable[str]) -> dict[str, HostUsage]:
        names = set(hosts)
        rows = self._table.get_many((_host(name), sk) for name in names for sk in (self._today(), _SLOW))
        found: dict[tuple[str, str], Item] = {(row["pk"]["S"], row["sk"]["S"]): row for row in rows}
        return {
            name: HostUsage(
                received=_number(found.get((_host(name), self._today())), "received"),
                slow_until=_number(found.get((_host(name), _SLOW)), "until"),
            )
            for name in names
        }

    def slow_down(self, host: str, until: int) -> None:
        times = {name: {"N": str(until)} for name in ("until", "ttl")}
        self._table.write_many([key(_host(host), _SLOW) | times])

    def _today(self) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(self._now()))


def _number(row: Item | None, name: str) -> int:
    return int(row[name]["N"]) if row else 0


def _account(account_id: str) -> str:
    return f"USAGE#A#{account_id}"


def _host(host: str) -> str:
    return f"USAGE#H#{host}"
