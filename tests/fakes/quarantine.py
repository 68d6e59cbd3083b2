"""The port Quarantine in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from chalicelib.domain.remote import RemoteId
from chalicelib.domain.sync.quarantine import Quarantined
from tests.fakes.store import Fuse


@dataclass
class MemoryQuarantine:
    """Entries and suspects of every account; each write is an effect of the fuse."""

    fuse: Fuse = field(default_factory=Fuse)
    rows: dict[tuple[str, str], Quarantined] = field(default_factory=dict)
    suspected: dict[str, frozenset[tuple[str, RemoteId]]] = field(default_factory=dict)

    def entries(self, account_id: str) -> list[Quarantined]:
        found = (entry for (account, _), entry in self.rows.items() if account == account_id)
        return sorted(found, key=lambda entry: (entry.first_at, entry.id))

    def get(self, account_id: str, id: str) -> Quarantined | None:
        return self.rows.get((account_id, id))

    def change(self, old: Quarantined | None, new: Quarantined | None) -> bool:
        some = new or old
        if some is None:
            return True
        with self.fuse.around("quarantine put" if new else "quarantine delete"):
            stored = self.rows.get((some.account_id, some.id))
            facts = [(one.state, one.attempts) if one else None for one in (stored, old)]
            if facts[0] != facts[1]:
                return False
            if new is None:
                self.rows.pop((some.account_id, some.id), None)
            else:
                self.rows[some.account_id, some.id] = new
        return True

    def suspects(self, account_id: str) -> frozenset[tuple[str, RemoteId]]:
        return self.suspected.get(account_id, frozenset())

    def suspect(self, account_id: str, names: Iterable[tuple[str, RemoteId]]) -> None:
        with self.fuse.around("suspects put"):
            self.suspected[account_id] = frozenset(names)
