"""The port Places in memory, and a clock that does things later when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chalicelib.store.values import Place


@dataclass
class MemoryPlaces:
    """The port Places; counts writes."""

    rows: dict[str, Place] = field(default_factory=dict)
    crowded: dict[str, int] = field(default_factory=dict)
    writes: int = 0

    def slow(self, tenants: Iterable[str], now: float) -> bool:
        return any(self.crowded.get(one, 0) > now for one in tenants)

    def note_slow(self, tenant: str, until: int) -> None:
        self.crowded[tenant] = until
        self.writes += 1

    def put(self, place: Place) -> None:
        self.rows[place.account_id] = place
        self.writes += 1

    def remove(self, account_id: str) -> None:
        self.rows.pop(account_id, None)
        self.writes += 1

    def all(self) -> list[Place]:
        return list(self.rows.values())


@dataclass
class Hours:
    """A clock; `pass_by` moves it and does what has been left for later."""

    now: float = 1_000_000.0
    left: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        entry = (self.now + seconds, call)
        self.left.append(entry)
        return lambda: self.left.remove(entry) if entry in self.left else None

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        due = [entry for entry in self.left if entry[0] <= self.now]
        self.left = [entry for entry in self.left if entry not in due]
        for _, call in due:
            call()
