"""Whatever fails and whoever dies, an endpoint that comes back hears everything, each account in order.

Workers die at random calls of their ports; messages come twice; endpoints fail at random. What must
hold is checked at the end, when everything works again.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from chalicelib.domain.jobs import Wake
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.errors import ProviderError
from tests.worlds.webhooks import START, World, hook, message

ACCOUNTS = ("a", "b", "c")
CALM = 4 * 3600


class Dies(BaseException):
    """The worker is gone."""


class Mortal:
    """A port whose caller may die before or after any call."""

    def __init__(self, inner: Any, chance: random.Random, rate: list[float]) -> None:
        self._inner, self._chance, self._rate = inner, chance, rate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any) -> Any:
            self._maybe_die()
            answer = found(*arguments)
            self._maybe_die()
            return answer

        return call

    def _maybe_die(self) -> None:
        if self._chance.random() < self._rate[0]:
            raise Dies


class Machine:
    """A world whose queue repeats messages and shows those of dead workers again after a while."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rate = [0.0]
        self.world = World(tick=7)
        self.world.jitter = self.chance.uniform(0.8, 1.2)
        self.inner = self.world.deliveries
        self.world.deliveries = Mortal(self.inner, self.chance, self.rate)
        self.world.circuits = Mortal(self.world.circuits, self.chance, self.rate)
        self.hidden: list[tuple[int, Wake]] = []
        self.moody = True
        self.world.add(hook("w"), self.answer)
        self.logged: dict[str, list[str]] = {account: [] for account in ACCOUNTS}

    def answer(self, now: int) -> HttpResponse:
        if not self.moody or self.chance.random() < 0.4:
            return HttpResponse(200, b"")
        if self.chance.random() < 0.5:
            raise ProviderError("no answer in time")
        return HttpResponse(
            self.chance.choice([301, 400, 429, 500, 503]), b"", self.chance.choice([None, 3, 40])
        )

    def change(self) -> None:
        account = self.chance.choice(ACCOUNTS)
        ids = [f"{account}{len(self.logged[account]) + n}" for n in range(self.chance.choice([1, 2, 30, 90]))]
        self.logged[account] += ids
        first = self.world.log.head(account)[0] + 1
        self.world.log.append(account, [message(id, account=account) for id in ids], self.world.now)
        for _ in range(8):  # the stream repeats what failed
            try:
                self.world.tell(account, first)
                return
            except Dies:
                continue
        calm, self.rate[0] = self.rate[0], 0.0
        self.world.tell(account, first)
        self.rate[0] = calm

    def step(self, seconds: int) -> None:
        self.world.now += seconds
        for at, wake in [pair for pair in self.hidden if pair[0] <= self.world.now]:
            self.hidden.remove((at, wake))
            self.world.queues.send([wake], "")
        calm, self.rate[0] = self.rate[0], 0.0
        self.world._tick()
        self.rate[0] = calm
        while self.world.queues.sent:
            self.work(self.world.queues.take(Wake))

    def work(self, wake: Wake) -> None:
        for _ in range(2 if self.chance.random() < 0.2 else 1):
            try:
                self.world.handle(wake)
            except Dies:
                self.hidden.append((self.world.now + 30, wake))


@pytest.mark.parametrize("seed", range(60))
def test_everything_is_told_in_the_end(seed: int) -> None:
    machine = Machine(seed)
    machine.rate[0] = 0.02
    for _ in range(120):
        if machine.chance.random() < 0.5:
            machine.change()
        machine.step(machine.chance.choice([0, 1, 7, 60]))
        # One under way at a time: every pending delivery is the open one of its lane.
        pending = [d for d in machine.inner.rows.values() if d.state == "pending"]
        assert all(machine.inner.lane("w", d.lane).open == d.id for d in pending)
    machine.rate[0], machine.moody = 0.0, False
    for account in ACCOUNTS:  # one more change wakes every lane
        machine.logged[account].append(f"{account}{len(machine.logged[account])}")
        machine.world.append(account, [message(machine.logged[account][-1], account=account)])
    for _ in range(CALM // 60):
        machine.step(60)
    assert machine.world.state("w") == "active"
    accepted = [id for d in machine.inner.rows.values() if d.state == "delivered" for id in span(machine, d)]
    given_up = [id for d in machine.inner.rows.values() if d.state == "failed" for id in span(machine, d)]
    for account, ids in machine.logged.items():
        told = [id for id in machine.world.ids("w") if id.startswith(account)]
        assert list(dict.fromkeys(told)) == ids
        assert set(ids) <= {*accepted, *given_up}
        assert machine.inner.lane("w", account).told == len(ids)
    assert machine.inner.waits == {}
    assert machine.world.now > START + CALM


def span(machine: Machine, delivery: Any) -> list[str]:
    entries = machine.world.log.logs[delivery.account_id][delivery.first_seq - 1 : delivery.last_seq]
    return [entry.change.id for entry in entries]
