"""Every public object of an account, page by page, whatever its kind (table `mail`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from chalicelib.config import Settings
from chalicelib.domain.log.delta import Change, ObjectKey
from chalicelib.store.aws.dynamo import Item, Key, Table
from chalicelib.store.objects import rows
from chalicelib.store.objects.stream import change_to
from chalicelib.store.objects.threads_index import Months

_PAGE = 200
_KEYS: dict[str, Callable[[str, str], Key]] = {
    "file": rows.file_key,
    "folder": rows.folder_key,
    "label": rows.folder_key,
    "message": rows.message_key,
    "thread": rows.thread_key,
}


class ObjectTable:
    """The port Objects."""

    def __init__(self, client: Any, settings: Settings) -> None:
        self._table = Table(client, f"{settings.table_prefix}-mail")
        self._months = Months(self._table)

    def after(self, account_id: str, place: str) -> tuple[list[Change], str]:
        partitions = self._partitions(account_id)
        here, _, sk = place.partition(" ")
        here = here or partitions[0]
        page = next(self._table.pages(here, sk or "!", limits=[_PAGE]))
        page = [row for row in page if row["sk"]["S"] != sk]
        if page:
            return self._changes(account_id, page), f"{here} {page[-1]['sk']['S']}"
        return [], next((other for other in partitions if other > here), "")

    def existing(self, account_id: str, names: Iterable[ObjectKey]) -> set[ObjectKey]:
        names = list(names)
        keys = {name: _KEYS[name[0]](account_id, name[1]) for name in names if name[0] in _KEYS}
        stored = {(row["pk"]["S"], row["sk"]["S"]) for row in self._table.get_many(keys.values())}
        return {name for name in names if name not in keys or keys[name] in stored}

    def _partitions(self, account_id: str) -> list[str]:
        months = self._months.of(account_id)
        mail = [f"{account_id}#{month}" for month in months["messages"]]
        return sorted([account_id, *mail, *(f"{account_id}#I#{month}" for month in months["threads"])])

    def _changes(self, account_id: str, page: Sequence[Item]) -> list[Change]:
        """Public objects of a page; an index row stands for its thread, which has a partition of its own."""
        threads = [rows.thread_key(account_id, row["t"]["S"]) for row in page if _is_index(row)]
        found = [*page, *(self._table.get_many(threads) if threads else ())]
        return [change for change in map(change_to, found) if change]


def _is_index(row: Item) -> bool:
    return bool(row["sk"]["S"].startswith("I#"))
