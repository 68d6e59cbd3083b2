"""The ports that webhook delivery works with, in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.domain.jobs import Wake
from chalicelib.domain.log.delta import Change, Delta
from chalicelib.domain.webhooks.circuit import Circuit
from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.errors import CursorTooOld


@dataclass
class MemoryDeliveries:
    """The port Deliveries."""

    all_lanes: dict[tuple[str, str], Lane] = field(default_factory=dict)
    rows: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    wakes: dict[tuple[int, Wake], None] = field(default_factory=dict)
    waits: dict[tuple[str, str], None] = field(default_factory=dict)

    def lane(self, webhook_id: str, key: str) -> Lane | None:
        return self.all_lanes.get((webhook_id, key))

    def lanes(self, webhook_id: str, start: str = "") -> Iterator[Lane]:
        mine = sorted(key for webhook, key in self.all_lanes if webhook == webhook_id)
        later, sooner = [k for k in mine if k >= start], [k for k in mine if k < start]
        yield from [self.all_lanes[webhook_id, key] for key in later + sooner]

    def change_lane(self, old: Lane | None, new: Lane) -> bool:
        if not self._same(old, new):
            return False
        self.all_lanes[new.webhook_id, new.key] = new
        return True

    def add_lanes(self, lanes: Iterable[Lane]) -> None:
        self.all_lanes |= {(lane.webhook_id, lane.key): lane for lane in lanes}

    def close_lane(self, lane: Lane) -> None:
        self.all_lanes.pop((lane.webhook_id, lane.key), None)

    def begin(self, old: Lane, new: Lane, delivery: Delivery) -> bool:
        if not self.change_lane(old, new):
            return False
        self.rows[delivery.webhook_id, delivery.id] = delivery
        return True

    def claim(self, old: Delivery, new: Delivery) -> bool:
        stored = self.get(old.webhook_id, old.id)
        if stored is None or (stored.attempt, stored.due_at) != (old.attempt, old.due_at):
            return False
        self.rows[new.webhook_id, new.id] = new
        return True

    def record(self, delivery: Delivery) -> None:
        stored = self.get(delivery.webhook_id, delivery.id)
        if stored is None or stored.attempt == delivery.attempt:
            self.rows[delivery.webhook_id, delivery.id] = delivery

    def settle(self, old: Lane, new: Lane, delivery: Delivery) -> None:
        self.change_lane(old, new)
        self.record(delivery)

    def get(self, webhook_id: str, id: str) -> Delivery | None:
        return self.rows.get((webhook_id, id))

    def ledger(self, webhook_id: str, since: int, until: int) -> Iterator[Delivery]:
        mine = [d for d in self.rows.values() if d.webhook_id == webhook_id]
        chosen = [d for d in mine if since <= d.created_at <= until]
        yield from sorted(chosen, key=lambda delivery: delivery.id, reverse=True)

    def failed(self, webhook_id: str, since: int, until: int) -> Iterator[Delivery]:
        return (one for one in self.ledger(webhook_id, since, until) if one.state == "failed")

    def schedule(self, wake: Wake, at: int) -> None:
        self.wakes[at, wake] = None

    def due(self, now: int) -> list[tuple[int, Wake]]:
        return sorted((pair for pair in self.wakes if pair[0] <= now), key=lambda pair: pair[0])

    def queued(self, wakes: Sequence[tuple[int, Wake]]) -> None:
        for pair in wakes:
            self.wakes.pop(pair, None)

    def wait(self, wake: Wake) -> None:
        self.waits[wake.webhook_id, wake.lane] = None

    def next_waiting(self, webhook_id: str) -> str | None:
        found = next((key for key in self.waits if key[0] == webhook_id), None)
        if found:
            del self.waits[found]
        return found[1] if found else None

    def stop_waiting(self, webhook_id: str) -> None:
        while self.next_waiting(webhook_id):
            pass

    def forget(self, webhook_id: str) -> None:
        for key in [key for key in self.all_lanes if key[0] == webhook_id]:
            del self.all_lanes[key]

    def _same(self, old: Lane | None, new: Lane) -> bool:
        stored = self.all_lanes.get((new.webhook_id, new.key))
        if stored is None or old is None:
            return stored is old
        return (stored.told, stored.open, stored.epoch) == (old.told, old.open, old.epoch)


@dataclass
class MemoryCircuits:
    """The port Circuits."""

    rows: dict[str, Circuit] = field(default_factory=dict)

    def get(self, webhook_id: str) -> Circuit:
        return self.rows.get(webhook_id, Circuit())

    def enter(self, webhook_id: str, seen: Circuit, now: int, until: int) -> int | None:
        circuit = self.get(webhook_id)
        slot = None if circuit.resting(now) else circuit.free_slot(now)
        if slot is not None:
            self.rows[webhook_id] = replace(circuit, slots={**circuit.slots, slot: until})
        return slot

    def accepted(self, webhook_id: str, slot: int, now: int, until: int) -> Circuit:
        noted = self._counted(webhook_id, slot, now, until, 0)
        self.rows[webhook_id] = replace(noted, streak=0, failing_since=0, open_until=0, probe="")
        return self.rows[webhook_id]

    def refused(self, webhook_id: str, slot: int, now: int, until: int, rest: int, lane: str) -> Circuit:
        noted = self._counted(webhook_id, slot, now, until, 1)
        self.rows[webhook_id] = replace(
            noted,
            streak=noted.streak + 1,
            failing_since=noted.failing_since or now,
            open_until=rest or noted.open_until,
            probe=lane,
        )
        return self.rows[webhook_id]

    def leave(self, webhook_id: str, slot: int) -> None:
        circuit = self.get(webhook_id)
        left = {number: until for number, until in circuit.slots.items() if number != slot}
        self.rows[webhook_id] = replace(circuit, slots=left)

    def reset(self, webhook_id: str) -> None:
        self.rows.pop(webhook_id, None)

    def _counted(self, webhook_id: str, slot: int, now: int, until: int, failed: int) -> Circuit:
        was = self.get(webhook_id)
        attempts, failures = was.minutes.get(now // 60, (0, 0))
        counted = {**was.minutes, now // 60: (attempts + 1, failures + failed)}
        return replace(was, minutes=counted, slots={**was.slots, slot: until})


@dataclass
class AccountLogs:
    """The port DeltaLog with a log per account; `dropped` entries of each have expired."""

    logs: dict[str, list[Delta]] = field(default_factory=lambda: defaultdict(list))
    dropped: dict[str, int] = field(default_factory=dict)

    def append(self, account_id: str, changes: Sequence[Change], at: int) -> None:
        entries = self.logs[account_id]
        for change in changes:
            entries.append(Delta(seq=len(entries) + 1, at=at, change=change))

    def head(self, account_id: str) -> tuple[int, int]:
        entries = self.logs[account_id]
        return (entries[-1].seq, entries[-1].at) if entries else (0, 0)

    def since(self, account_id: str, seq: int, limit: int) -> list[Delta]:
        entries = self.logs[account_id]
        if seq < self.dropped.get(account_id, 0) and seq < len(entries):
            raise CursorTooOld("too old")
        return entries[seq : seq + limit]
