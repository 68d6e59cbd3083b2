"""The rows of the table `log` and back: the counter SEQ, batches of entries D#, heads of objects H#."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.domain.log.delta import Change, Delta, ObjectKey, Operation
from chalicelib.json_text import dumps, loads
from chalicelib.store.aws.dynamo import AFTER_ALL, Item, Key, key

TTL_DAYS = 16
DAY = 86400
COUNTER = "SEQ"
HEADS = ("H#", "H#" + AFTER_ALL)


def partition(account_id: str) -> str:
    """Return the partition of an account's log."""
    return f"A#{account_id}"


def account_of(row: Item) -> str:
    """Return the account a row belongs to."""
    return str(row["pk"]["S"]).removeprefix("A#")


def numbers(**values: int) -> Item:
    """Return numeric attributes."""
    return {name: {"N": str(value)} for name, value in values.items()}


def counter_row(account_id: str, seq: int, at: int) -> Item:
    """Return the counter behind entry `seq`; it never expires."""
    return key(partition(account_id), COUNTER) | numbers(seq=seq, at=at)


def place_of(row: Item | None) -> tuple[int, int]:
    """Return sequence number and time of a counter, zeros if there is none."""
    return (int(row["seq"]["N"]), int(row["at"]["N"])) if row else (0, 0)


def entries_key(seq: int) -> str:
    """Return where a batch that ends with entry `seq` lies."""
    return f"D#{seq:016d}"


def entries_row(account_id: str, changes: Sequence[Change], first: int, at: int) -> Item:
    """Return the row of a batch."""
    last = first + len(changes) - 1
    entries = [[c.kind, c.id, c.event.value, c.rev, dict(c.attributes)] for c in changes]
    facts = {"entries": {"S": dumps(entries)}}
    where = key(partition(account_id), entries_key(last))
    return where | facts | numbers(first=first, n=len(changes), at=at, ttl=at + TTL_DAYS * DAY)


def span_of(row: Item) -> tuple[int, int, int]:
    """Return the first and last sequence number of a batch, and its time."""
    first, count = int(row["first"]["N"]), int(row["n"]["N"])
    return first, first + count - 1, int(row["at"]["N"])


def deltas_of(row: Item) -> list[Delta]:
    """Return the entries of a batch."""
    first, _, at = span_of(row)
    entries = enumerate(loads(row["entries"]["S"]), first)
    return [Delta(seq=seq, at=at, change=_change(account_of(row), *entry)) for seq, entry in entries]


def head_key(account_id: str, name: ObjectKey) -> Key:
    """Return where the head of an object lies."""
    return partition(account_id), f"H#{name[0]}#{name[1]}"


def head_row(change: Change, seq: int, at: int) -> Item:
    """Return the head of an object: the change of it that was logged last.

    It is kept for as long as the object and a little longer, or a deletion that the stream never told
    could not be noticed.
    """
    row = key(*head_key(change.account_id, change.name)) | {"ev": {"S": change.event.value}}
    row |= numbers(rev=change.rev, seq=seq)
    gone = at if change.event is Operation.DELETE else change.expires_at
    if gone:
        row |= numbers(gone=gone, ttl=gone + TTL_DAYS * DAY)
    if change.attributes:
        row["facts"] = {"S": dumps(dict(change.attributes))}
    return row


def head_of(row: Item) -> Change:
    """Return the change a head tells of."""
    _, kind, id = row["sk"]["S"].split("#", 2)
    facts = loads(row["facts"]["S"]) if "facts" in row else {}
    rev, expires_at = int(row["rev"]["N"]), int(row["gone"]["N"]) if "gone" in row else 0
    return _change(account_of(row), kind, id, row["ev"]["S"], rev, facts, expires_at)


def _change(
    account_id: str,
    kind: str,
    id: str,
    event: str,
    rev: int,
    attributes: Mapping[str, str | int],
    expires_at: int = 0,
) -> Change:
    return Change(
        account_id=account_id,
        kind=kind,
        id=id,
        event=Operation(event),
        rev=rev,
        attributes=tuple(attributes.items()),
        expires_at=expires_at,
    )
