"""Records of a stream between several workers."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from infra.functions.lanes import Lanes, lane_of

Record = dict[str, Any]


def record(number: int, key: str) -> Record:
    return {"dynamodb": {"SequenceNumber": str(number), "Keys": {"pk": {"S": key}}}}


def key_of(one: Record) -> str:
    return str(one["dynamodb"]["Keys"]["pk"]["S"])


class Desk:
    """Does the work a test watches; it begins when the gate is open."""

    def __init__(self, size: int = 10, workers: int = 3) -> None:
        self.stop, self.gate = threading.Event(), threading.Event()
        self.done: list[tuple[str, int]] = []
        self.reached: list[int] = []
        self.broken: set[str] = set()
        self.begun = threading.Semaphore(0)
        self.lanes = Lanes(self.work, lambda last: self.reached.append(int(last)), size, self.stop)
        self.lanes.start("desk", workers)

    def work(self, batch: list[Record]) -> bool:
        self.begun.release()
        self.gate.wait(10)
        if any(key_of(one) in self.broken for one in batch):
            return False
        self.done += [(key_of(one), int(one["dynamodb"]["SequenceNumber"])) for one in batch]
        return True


def test_every_record_is_dealt_with_once_and_each_key_keeps_its_order() -> None:
    desk = Desk()
    desk.gate.set()
    for page in range(20):
        numbers = range(page * 50 + 1, page * 50 + 51)
        desk.lanes.put([record(n, f"k{n % 7}") for n in numbers], str(numbers[-1]))
    desk.lanes.drain()
    by_key: dict[str, list[int]] = defaultdict(list)
    for key, number in desk.done:
        by_key[key].append(number)
    assert sum(map(len, by_key.values())) == 1_000
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    assert desk.reached[-1] == 1_000 and desk.reached == sorted(desk.reached)
    desk.stop.set()


def test_a_key_with_few_records_does_not_wait_behind_one_with_many() -> None:
    desk = Desk(workers=1)
    desk.lanes.put([record(n, "large") for n in range(1, 501)], "500")
    desk.lanes.put([record(501, "small")], "501")
    desk.gate.set()
    desk.lanes.drain()
    assert desk.done.index(("small", 501)) < 50
    desk.stop.set()


def test_the_checkpoint_never_passes_a_record_that_is_not_done() -> None:
    desk = Desk()
    desk.broken = {"bad"}
    desk.gate.set()
    desk.lanes.put([record(n, "bad" if n == 40 else f"k{n}") for n in range(1, 101)], "100")
    for _ in range(200):
        if len(desk.done) >= 80:
            break
        threading.Event().wait(0.02)
    assert len(desk.done) >= 80
    assert max(desk.reached, default=0) < 40
    desk.stop.set()


def test_records_nobody_wants_move_the_checkpoint_too() -> None:
    desk = Desk()
    desk.lanes.put([], "77")
    assert desk.reached == [77]
    desk.stop.set()


def test_keys_that_wait_together_share_a_batch() -> None:
    desk = Desk(size=30, workers=1)
    desk.lanes.put([record(1, "first")], "1")
    desk.begun.acquire(timeout=10)
    desk.lanes.put([*(record(n, "large") for n in range(2, 200)), record(200, "small")], "200")
    desk.gate.set()
    desk.lanes.drain()
    assert desk.done.index(("small", 200)) <= 16
    desk.stop.set()


def test_nobody_takes_a_key_that_another_worker_is_at() -> None:
    desk = Desk(workers=3)
    desk.lanes.put([record(1, "a")], "1")
    assert desk.begun.acquire(timeout=10)
    desk.lanes.put([record(2, "a")], "2")
    assert not desk.begun.acquire(timeout=0.5)
    desk.gate.set()
    desk.lanes.drain()
    assert desk.done == [("a", 1), ("a", 2)]
    desk.stop.set()


def test_the_keys_of_an_account_are_one_lane() -> None:
    lanes = [
        lane_of(record(1, key)) for key in ("acc#202611", "acc#T#thread", "other#202611", "ACCT#acc", "A#acc")
    ]
    assert lanes == ["acc", "acc", "other", "ACCT#acc", "A#acc"]
