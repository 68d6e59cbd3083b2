"""How many may do something at once (table `work`): numbered slots, each held by one request."""

from __future__ import annotations

import random
import secrets
import time
from typing import Any

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.store.aws.dynamo import Item, Table, key
from chalicelib.store.values import Slot, Stale

_TRIES = 4


class SlotTable:
    """The port Slots: each frees itself when its time is over, so a request that died holds it no longer."""

    def __init__(self, client: Any, settings: Settings, now: Clock = time.time) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")
        self._now = now

    def take(self, name: str, most: int, seconds: float) -> Slot | None:
        for _ in range(_TRIES):
            held = self._held(name)
            free = sorted(set(range(most)) - held)
            if len(held) >= most:  # `most` may be less than it was
                return None
            number = random.choice(free)  # noqa: S311 - spreads those who come at once, no secret
            slot = Slot(name=name, number=number, rev=secrets.randbits(48))
            try:
                self._hold(slot, int(self._now() + seconds) + 1)
            except Stale:
                continue  # somebody else was quicker
            return slot
        return None

    def taken(self, name: str) -> int:
        return len(self._held(name))

    def give_back(self, slot: Slot) -> None:
        try:
            self._table.delete_if(*_place(slot), slot.rev)
        except Stale:
            return

    def _held(self, name: str) -> set[int]:
        rows = [row for page in self._table.pages(_partition(name)) for row in page]
        return {int(row["sk"]["S"]) for row in rows if int(row["upto"]["N"]) > int(self._now())}

    def _hold(self, slot: Slot, until: int) -> None:
        now = {":n": {"N": str(int(self._now()))}}
        times = {name: {"N": str(until)} for name in ("upto", "ttl")}  # "ttl" is reserved in conditions
        row: Item = key(*_place(slot)) | {"rev": {"N": str(slot.rev)}} | times
        self._table.put_if(row, "attribute_not_exists(pk) OR upto <= :n", now)


def _partition(name: str) -> str:
    return f"SLOT#{name}"


def _place(slot: Slot) -> tuple[str, str]:
    return _partition(slot.name), f"{slot.number:04d}"
