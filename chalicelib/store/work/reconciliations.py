"""How far the log of an account has been compared with its objects (table `work`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chalicelib.config import Settings
from chalicelib.store.aws.dynamo import Item, Table, key
from chalicelib.store.values import Stale

_PARTITION = "RECONCILE"


class ReconciliationTable:
    """The port Reconciliations; few accounts are under way at a time, so one partition will do."""

    def __init__(self, client: Any, settings: Settings) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")

    def begin(self, account_ids: Iterable[str]) -> None:
        for account_id in account_ids:
            try:
                self._table.put_if(_row(account_id, ""), "attribute_not_exists(pk)")
            except Stale:
                continue

    def under_way(self) -> dict[str, str]:
        pages = self._table.pages(_PARTITION)
        return {row["sk"]["S"]: row.get("place", {}).get("S", "") for page in pages for row in page}

    def save(self, account_id: str, place: str) -> None:
        if place:
            self._table.write_many([_row(account_id, place)])
        else:
            self._table.write_many(deletes=[(_PARTITION, account_id)])


def _row(account_id: str, place: str) -> Item:
    return key(_PARTITION, account_id) | ({"place": {"S": place}} if place else {})
