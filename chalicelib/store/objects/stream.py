"""Stream records: those of `mail` and `core` as changes for the log, those of `log` as wake-ups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.domain.log.delta import KINDS, Change, Operation
from chalicelib.store.aws.dynamo import Item
from chalicelib.store.objects.rows import INTERNAL

_TTL_SERVICE = "dynamodb.amazonaws.com"
_MAIL = KINDS - {"account"}


def change_of(record: Mapping[str, Any]) -> Change | None:
    """Return the change an API client should hear of, None if there is none.

    None for rows without a public kind, for changes of internal attributes only, and for rows that
    merely reached their time to live.
    """
    images = record["dynamodb"]
    old, new = images.get("OldImage"), images.get("NewImage")
    kind = (new or old or {}).get("kind", {}).get("S")
    if kind == "account":
        return _account_change(old, new)
    if kind not in _MAIL:
        return None
    if new is None:
        return None if _expired(record) else _removal(kind, old or {})
    if old is None:
        return _mail_change(kind, new, Operation.CREATE, int(new["rev"]["N"]))
    if _public(old) == _public(new):
        return None
    return _mail_change(kind, new, Operation.MODIFY, int(new["rev"]["N"]))


def change_to(row: Item) -> Change | None:
    """Return the change that would tell of a row of `mail` as it is, None if it is no public object."""
    kind = row.get("kind", {}).get("S")
    return _mail_change(kind, row, Operation.MODIFY, int(row["rev"]["N"])) if kind in _MAIL else None


def logged(record: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the account and first sequence number of newly logged entries, None for other rows."""
    new = record["dynamodb"].get("NewImage")
    if record["eventName"] != "INSERT" or new is None or not new["sk"]["S"].startswith("D#"):
        return None
    return new["pk"]["S"].removeprefix("A#"), int(new["first"]["N"])


def _removal(kind: str, old: Item) -> Change:
    return _mail_change(kind, old, Operation.DELETE, int(old["rev"]["N"]) + 1)


def _mail_change(kind: str, row: Item, event: Operation, rev: int) -> Change:
    return Change(
        account_id=row["acct"]["S"],
        kind=kind,
        id=row["id"]["S"],
        event=event,
        rev=rev,
        attributes=_facts(kind, row),
        expires_at=int(row["ttl"]["N"]) if "ttl" in row else 0,
    )


def _facts(kind: str, row: Item) -> tuple[tuple[str, str | int], ...]:
    if kind != "message":
        return ()
    return ("thread_id", row["t"]["S"]), ("received_date", int(row["d"]["N"]))


def _account_change(old: Item | None, new: Item | None) -> Change | None:
    if new is None or (old is not None and old.get("state") == new["state"]):
        return None
    return Change(
        account_id=new["id"]["S"],
        kind="account",
        id=new["id"]["S"],
        event=Operation.MODIFY if old else Operation.CREATE,
        rev=int(new["rev"]["N"]),
        attributes=(("sync_state", new["state"]["S"]), ("application_id", new["application_id"]["S"])),
    )


def _expired(record: Mapping[str, Any]) -> bool:
    return (record.get("userIdentity") or {}).get("principalId") == _TTL_SERVICE


def _public(row: Item) -> Item:
    return {name: value for name, value in row.items() if name not in INTERNAL}
