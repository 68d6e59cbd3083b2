"""A network that fails in every way between the engine and a real server: nothing is lost or doubled.

POSTERN_FAULTS sets how many connections of each kind are spoiled.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import pytest

from chalicelib.domain.log.delta import Operation
from chalicelib.errors import AuthRejected
from chalicelib.providers.imap.protocol import session
from chalicelib.sync.engine import session as sweep
from infra.bench.link import Link
from infra.bench.mischief import KINDS, Plan, plan_of
from infra.demo.dovecot import Dovecot
from infra.demo.visitor import fill, login
from tests.worlds.mailroom import Mailroom, dovecot

pytestmark = pytest.mark.server
FAULTS = int(os.environ.get("POSTERN_FAULTS", "8"))
MESSAGES = 60


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed soon, and batches are small, so that faults fall between many of them."""
    monkeypatch.setattr(session, "TIMEOUT", 0.4)
    monkeypatch.setattr(sweep, "SIZES", (10, 20))


@dataclass
class Weather:
    """What becomes of each connection: so many are spoiled, but not the one after a pause."""

    plans: Iterator[Plan]
    left: int = FAULTS
    calm: bool = False

    def __call__(self) -> Plan:
        """Return what becomes of the next one."""
        if self.calm or not self.left:
            self.calm = False
            return Plan()
        self.left -= 1
        return next(self.plans)

    def clear_up(self, seconds: float) -> None:
        """Pass, as every bad network does in the end."""
        self.calm = True


def spoil(room: Mailroom, link: Link, kinds: tuple[str, ...], dice: random.Random) -> None:
    """Let the user change the mailbox and the connections of sync fail, turn by turn."""
    weather = Weather(plan_of(kind, dice) for kind in cycle(kinds))
    link.plan, room.sleep = weather, weather.clear_up
    while weather.left:
        change(room, dice)
        room.try_to_sync()


def change(room: Mailroom, dice: random.Random) -> None:
    """Deliver one mail, star one, move one."""
    with login(room.server, room.user) as client:
        number = dice.getrandbits(60)
        client.append("INBOX", f"Message-ID: <{number}@x.example>\r\nSubject: x\r\n\r\nx\r\n".encode())
        client.select_folder("INBOX")
        uids = client.search()
        client.add_flags(dice.choice(uids), [b"\\Flagged"])
        client.move(dice.choice(uids), "Archive")


def begin(server: Dovecot, user: str, link: Link) -> Mailroom:
    fill(server, user, MESSAGES, seed=len(user))
    return Mailroom(server, user, link.port)


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_kind_of_fault_the_store_is_the_server(server: Dovecot, kind: str) -> None:
    with Link(server.imap) as link:
        room = begin(server, f"{kind}@kestrel.example", link)
        spoil(room, link, (kind,), random.Random(kind))
        room.settle()
        room.check()
        events = [c for c in room.world.mail.changes if c.kind == "message"]
        assert not [c for c in events if c.event is Operation.DELETE], "a moved or unseen mail was deleted"
        assert len({c.id for c in events}) == MESSAGES + len(room_changes(room))
        assert link.befell[{"unavailable": "login"}.get(kind, kind)] >= FAULTS // 3, link.befell


def room_changes(room: Mailroom) -> set[str]:
    """Return the ids of what `change` delivered."""
    return {m.id for m in room.world.mail.all_messages.values() if m.subject == "x"}


@pytest.mark.parametrize("seed", range(2))
def test_after_faults_of_every_kind_the_store_is_the_server(server: Dovecot, seed: int) -> None:
    with Link(server.imap) as link:
        room = begin(server, f"mixed{seed}@kestrel.example", link)
        spoil(room, link, KINDS, random.Random(seed))
        room.settle()
        room.check()


def test_only_a_refused_login_blames_the_credentials(server: Dovecot) -> None:
    harmless = tuple(kind for kind in KINDS if kind != "login")
    with Link(server.imap) as link:
        room = begin(server, "blame@kestrel.example", link)
        spoil(room, link, harmless, random.Random(3))
        assert room.errors and not [error for error in room.errors if isinstance(error, AuthRejected)]
        before = len(room.errors)
        spoil(room, link, ("login",), random.Random(4))
        assert {type(error) for error in room.errors[before:]} == {AuthRejected}
