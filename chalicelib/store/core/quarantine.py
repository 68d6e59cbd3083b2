"""Messages that cannot be taken in: rows of `core`, read only when something is amiss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chalicelib.config import Settings
from chalicelib.domain.remote import RemoteId
from chalicelib.domain.sync.quarantine import Cause, Quarantined, QuarantineState
from chalicelib.store.aws.dynamo import Item, Table, key
from chalicelib.store.core.rows import account_pk

_PREFIX = "QUARANTINE#"
_SUSPECTS = "SUSPECTS"
_TEXTS = ("id", "folder_id", "remote_id", "cause", "reason", "state")
_NUMBERS = ("attempts", "first_at", "last_at")


class QuarantineTable:
    """The port Quarantine."""

    def __init__(self, client: Any, settings: Settings) -> None:
        self._table = Table(client, f"{settings.table_prefix}-core")

    def entries(self, account_id: str) -> list[Quarantined]:
        pages = self._table.pages(account_pk(account_id), _PREFIX, _PREFIX + "~")
        found = [_entry(account_id, row) for rows in pages for row in rows]
        return sorted(found, key=lambda entry: (entry.first_at, entry.id))

    def get(self, account_id: str, id: str) -> Quarantined | None:
        row = self._table.get(account_pk(account_id), _PREFIX + id)
        return _entry(account_id, row) if row else None

    def change(self, old: Quarantined | None, new: Quarantined | None) -> bool:
        some = new or old
        if some is None:
            return True
        request: Item = {"TableName": self._table.name, **_unless_changed(old)}
        place = key(account_pk(some.account_id), _PREFIX + some.id)
        try:
            if new is None:
                self._table.client.delete_item(**request, Key=place)
            else:
                self._table.client.put_item(**request, Item=place | _facts(new))
        except self._table.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def suspects(self, account_id: str) -> frozenset[tuple[str, RemoteId]]:
        row = self._table.get(account_pk(account_id), _SUSPECTS)
        names = (name["S"].partition(" ") for name in (row or {}).get("names", {}).get("L", []))
        return frozenset((folder, RemoteId(remote)) for folder, _, remote in names)

    def suspect(self, account_id: str, names: Iterable[tuple[str, RemoteId]]) -> None:
        listed = [{"S": f"{folder} {remote}"} for folder, remote in sorted(names)]
        row = key(account_pk(account_id), _SUSPECTS) | {"names": {"L": listed}}
        if listed:
            self._table.write_many([row])
        else:
            self._table.write_many(deletes=[(account_pk(account_id), _SUSPECTS)])


def _unless_changed(old: Quarantined | None) -> Item:
    if old is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "#state = :state AND attempts = :attempts",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {
            ":state": {"S": old.state.value},
            ":attempts": {"N": str(old.attempts)},
        },
    }


def _facts(entry: Quarantined) -> Item:
    texts = {name: {"S": str(getattr(entry, name))} for name in _TEXTS}
    return texts | {name: {"N": str(getattr(entry, name))} for name in _NUMBERS}


def _entry(account_id: str, row: Item) -> Quarantined:
    return Quarantined(
        id=row["id"]["S"],
        account_id=account_id,
        folder_id=row["folder_id"]["S"],
        remote_id=RemoteId(row["remote_id"]["S"]),
        cause=Cause(row["cause"]["S"]),
        reason=row["reason"]["S"],
        state=QuarantineState(row["state"]["S"]),
        attempts=int(row["attempts"]["N"]),
        first_at=int(row["first_at"]["N"]),
        last_at=int(row["last_at"]["N"]),
    )
