"""Accounts whose history is still to come (table `work`)."""

from __future__ import annotations

from typing import Any

from chalicelib.config import Settings
from chalicelib.domain.sync.backfill import Backfill, Stage
from chalicelib.store.aws.dynamo import Item, Table, key
from chalicelib.store.values import Stale

_PARTITION = "BACKFILL"


class BackfillTable:
    """The port Backfills; an account stays only as long as its history takes, so one partition will do."""

    def __init__(self, client: Any, settings: Settings) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")

    def enter(self, backfill: Backfill) -> bool:
        try:
            self._table.put_if(_row(backfill), "attribute_not_exists(pk)")
        except Stale:
            return False
        return True

    def get(self, account_id: str) -> Backfill | None:
        row = self._table.get(_PARTITION, account_id)
        return _backfill(row) if row else None

    def all(self) -> list[Backfill]:
        return [_backfill(row) for page in self._table.pages(_PARTITION) for row in page]

    def put(self, backfill: Backfill) -> None:
        try:
            self._table.put_if(_row(backfill), "application_id = :a", {":a": {"S": backfill.application_id}})
        except Stale:
            return

    def remove(self, account_id: str) -> None:
        self._table.write_many(deletes=[(_PARTITION, account_id)])


def _row(backfill: Backfill) -> Item:
    return key(_PARTITION, backfill.account_id) | {
        "application_id": {"S": backfill.application_id},
        "host": {"S": backfill.host},
        "since": {"N": f"{backfill.since:.3f}"},
        "until": {"N": str(backfill.until)},
        "stage": {"S": backfill.stage.value},
        "begun": {"BOOL": backfill.begun},
    }


def _backfill(row: Item) -> Backfill:
    return Backfill(
        account_id=row["sk"]["S"],
        application_id=row["application_id"]["S"],
        host=row["host"]["S"],
        since=float(row["since"]["N"]),
        until=int(row["until"]["N"]),
        stage=Stage(row["stage"]["S"]),
        begun=row["begun"]["BOOL"],
    )
