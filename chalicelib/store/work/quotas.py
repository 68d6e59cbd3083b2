"""How often something may be done in a span of time (table `work`): a counter per name and span."""

from __future__ import annotations

import time
from typing import Any

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.store.aws.dynamo import Table, key
from chalicelib.store.values import Spent


class QuotaTable:
    """The port Quotas; a refusal reads nothing, and rows leave when their span is over."""

    def __init__(self, client: Any, settings: Settings, now: Clock = time.time) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")
        self._now = now

    def spend(self, name: str, most: int, seconds: int) -> Spent:
        now = int(self._now())
        spent = Spent(name=name, span=now // seconds, seconds=seconds - now % seconds)
        allowed = self._add(spent, 1, "attribute_not_exists(spent) OR spent < :m", most)
        return spent if allowed else Spent(name=name, span=spent.span, seconds=spent.seconds, allowed=False)

    def give_back(self, spent: Spent) -> None:
        self._add(spent, -1, "spent > :m", 0)

    def _add(self, spent: Spent, count: int, condition: str, bound: int) -> bool:
        client = self._table.client
        try:
            client.update_item(
                TableName=self._table.name,
                Key=key(f"QUOTA#{spent.name}", str(spent.span)),
                UpdateExpression="ADD spent :c SET #ttl = :t",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={
                    ":c": {"N": str(count)},
                    ":m": {"N": str(bound)},
                    ":t": {"N": str(int(self._now()) + spent.seconds + 1)},
                },
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True
