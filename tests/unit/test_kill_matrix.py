"""A worker dies before and after every effect it has on the world, in eleven scenarios.

After the next run the store equals the server, no delta is lost or doubled, and what was written to the
outside was written once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chalicelib.domain.jobs import ApplyEdits
from chalicelib.domain.log.delta import Operation
from chalicelib.domain.mail.filing import Filing, filing_key
from chalicelib.providers.base import Provider, Transport
from chalicelib.sending import send as sending
from chalicelib.sending.letter import load
from chalicelib.sending.unfiled import Unfiled
from chalicelib.sync.engine import session
from chalicelib.sync.mail.sent import forget_sent, name_sent, record_sent
from chalicelib.sync.requests import edits
from tests.fakes.inline import Inline
from tests.fakes.mail import LARGE, mail
from tests.fakes.provider import Box, MemoryProvider
from tests.fakes.services import MemoryQueues
from tests.fakes.store import Crash, Fuse
from tests.worlds.sync import ACCOUNT, World


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ThreadPoolExecutor", Inline)
    monkeypatch.setattr(session, "SIZES", (4, 6, 8))


class Fused:
    """A provider whose every call may be the last thing a worker does."""

    def __init__(self, server: MemoryProvider, fuse: Fuse) -> None:
        self._server = server
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._server, name)
        if name in ("unchanged", "close") or not callable(attribute):
            return attribute
        return partial(self._call, name, attribute)

    def _call(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        with self._fuse.around(f"provider {name}"):
            return method(*arguments)


class Mill:
    """The system under test: a world, a queue that delivers at least once, an SMTP server."""

    def __init__(self, counts: bool) -> None:
        self.world = World(server=MemoryProvider(counts, large=LARGE))
        self.fuse, self.server = self.world.fuse, self.world.server
        self.provider = Fused(self.server, self.fuse)
        self.queues = MemoryQueues()
        self.submitted: list[bytes] = []
        self.sent: list[tuple[bytes, int]] = []
        self.finished: list[tuple[bytes, int]] = []
        for number in range(8):
            reference = f"<{number - 1}@harbour.example>" if number % 2 else ""
            self.server.deliver("INBOX", mail(f"m{number}", number, reference), at=number)
        self.server.deliver("Sent", mail("m0", 0), "s", at=0)

    def sync(self) -> None:
        self.world.sync(provider=self.provider)

    def deliver(self, number: int, reference: str = "") -> None:
        self.server.deliver("INBOX", mail(f"m{number}", number, reference), at=number)

    def first(self, name: str = "INBOX") -> Any:
        return sorted(self.server.boxes[name].messages)[0]

    def edit(self, **wanted: Any) -> None:
        """What a PUT does, and then the worker of the queue."""
        folders = {folder.role: folder for folder in self.world.mail.all_folders.values()}
        if role := wanted.pop("role", None):
            wanted["folder"] = folders[role]
        some = sorted(self.world.mail.all_messages.values(), key=lambda m: m.id)[2:5]
        with self.fuse.around("edit"):
            edits.update(self.world.mail, self.queues, "a", some, edits.Wanted(**wanted))
        self.work()

    def work(self) -> None:
        while self.sent:
            self.desk().finish(ACCOUNT, *self.sent[0])
            self.finished.append(self.sent.pop(0))
        while self.queues.sent:
            edits.apply(cast(Provider, self.provider), self.queues.of(ApplyEdits)[0].edits)
            self.queues.take(ApplyEdits)

    def desk(self) -> sending.Sending:
        return sending.Sending(
            mail=self.world.mail,
            remember=self.remember,
            record=partial(record_sent, self.world.mail, self.world.blobs, ACCOUNT),
            name=partial(name_sent, self.world.mail, self.world.blobs, ACCOUNT),
            forget=partial(forget_sent, self.world.mail, self.world.blobs, ACCOUNT),
            filing=lambda raw: self.world.filings.get("a", filing_key(raw)) or Filing(),
            note=lambda raw, filing: self.world.filings.put("a", filing_key(raw), filing),
            unfiled=Unfiled(quarantine=self.world.quarantine, account_id="a", now=lambda: self.world.now),
            transport=lambda: cast(Transport, SimpleNamespace(send=self.submit)),
            provider=lambda: cast(Provider, self.provider),
        )

    def send(self) -> None:
        letter = load(json.loads('{"to": [{"email": "tide@harbour.example"}], "body": "hello"}'))
        self.desk().send(ACCOUNT, letter, "once", 100)

    def remember(self, raw: bytes, at: int) -> None:
        with self.fuse.around("queue send"):
            self.sent.append((raw, at))
        self.world.filings.put("a", filing_key(raw), Filing())

    def submit(self, sender: str, recipients: Sequence[str], raw: bytes) -> Mapping[str, Any]:
        with self.fuse.around("smtp submit"):
            self.submitted.append(raw)
        return {}


def _first_sync(mill: Mill) -> None:
    mill.sync()


def _new_mail(mill: Mill) -> None:
    mill.sync()
    for number in range(20, 24):
        mill.deliver(number, "<1@harbour.example>" if number % 2 else "")


def _flags(mill: Mill) -> None:
    mill.sync()
    for id in sorted(mill.server.boxes["INBOX"].messages)[:4]:
        mill.server.flag("INBOX", id, "fs")


def _move(mill: Mill) -> None:
    mill.sync()
    for target in ("Trash", "Sent"):
        mill.server.move("INBOX", mill.first(), target)


def _expunge(mill: Mill) -> None:
    mill.sync()
    for _ in range(3):
        mill.server.expunge("INBOX", mill.first())


def _renumber(mill: Mill) -> None:
    mill.sync()
    mill.server.renumber("INBOX")
    mill.server.expunge("INBOX", mill.first())


def _backfill(mill: Mill) -> None:
    for number in range(100, 130):
        mill.server.deliver("Sent", mail(f"m{number}", number), "s", at=number)

    def live(folder: str) -> None:
        if folder == "Sent" and len(mill.server.steps) > 6:
            mill.server.meanwhile = lambda folder: None
            mill.deliver(999)

    mill.server.meanwhile = live


def _folder_deleted(mill: Mill) -> None:
    mill.server.boxes["Old"] = Box(uidvalidity=7)
    mill.server.deliver("Old", mail("old", 50), at=50)
    mill.server.deliver("Old", mail("m1", 1), at=1)
    mill.sync()
    del mill.server.boxes["Old"]


SCENARIOS: dict[str, tuple[Callable[[Mill], None], Callable[[Mill], None]]] = {
    "first sync": (lambda mill: None, _first_sync),
    "new mail": (_new_mail, _first_sync),
    "flags": (_flags, _first_sync),
    "move": (_move, _first_sync),
    "expunge": (_expunge, _first_sync),
    "new UIDVALIDITY": (_renumber, _first_sync),
    "backfill with live mail": (_backfill, _first_sync),
    "folder deleted": (_folder_deleted, _first_sync),
    "flags by the API": (_first_sync, lambda mill: mill.edit(unread=False, starred=True)),
    "move by the API": (_first_sync, lambda mill: mill.edit(role="trash")),
    "sent by us": (_first_sync, lambda mill: mill.send()),
}


def _delete_in_sent(mill: Mill) -> bool:
    """Let another program delete what was just sent, if it is there."""
    box = mill.server.boxes["Sent"]
    there = [id for id, message in box.messages.items() if b"once@" in message.raw]
    for id in there:
        mill.server.expunge("Sent", id)
    return bool(there)


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("counts", [True, False], ids=["counted", "uncounted"])
def test_a_sent_mail_that_somebody_deletes_is_gone_for_good_wherever_we_died(
    counts: bool, seen: bool
) -> None:
    points = _points("sent by us", counts)
    for at, point in enumerate([*points, "never"], 1):
        for mill in _crashed("sent by us", counts, at):
            if seen:
                mill.sync()
            was_there, before = _delete_in_sent(mill), mill.server.boxes["Sent"].uidnext
            for _ in range(2):
                mill.work()
                mill.sync()
            mill.world.check()
            again = mill.server.boxes["Sent"].uidnext - before
            assert again == (0 if was_there else len(mill.finished)), f"filed again, crash {point}"
            left = [m for m in mill.world.mail.all_messages.values() if "once@" in (m.message_id or "")]
            assert bool(left) == bool(again), f"not told, crash {point}"


@pytest.mark.parametrize("counts", [True, False], ids=["counted", "uncounted"])
def test_a_sent_mail_that_sync_never_saw_is_missed_once_the_job_has_seen_it(counts: bool) -> None:
    mill = Mill(counts)
    mill.sync()
    mill.send()
    mill.work()
    assert _delete_in_sent(mill)
    mill.sync()
    mill.world.check()
    assert not [m for m in mill.world.mail.all_messages.values() if "once@" in (m.message_id or "")]


def _points(name: str, counts: bool) -> list[str]:
    """What a run without a crash passes."""
    mill = Mill(counts)
    prepare, act = SCENARIOS[name]
    prepare(mill)
    before = len(mill.fuse.points)
    act(mill)
    return mill.fuse.points[before:]


def _crashed(name: str, counts: bool, at: int) -> Iterator[Mill]:
    mill = Mill(counts)
    prepare, act = SCENARIOS[name]
    prepare(mill)
    mill.fuse.at = len(mill.fuse.points) + at
    with suppress(Crash):
        act(mill)
    mill.fuse.at = None
    yield mill


@pytest.mark.parametrize("counts", [True, False], ids=["counted", "uncounted"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_at_any_point_is_repaired_by_the_next_run(name: str, counts: bool) -> None:
    points = _points(name, counts)
    for at, point in enumerate(points, 1):
        for mill in _crashed(name, counts, at):
            mill.work()  # the queue delivers again what was not done
            for _ in range(2):  # mail that came in the middle of the first may need the second
                mill.sync()
            _check(mill, point)


def test_the_matrix_has_forty_points() -> None:
    """The points of this file's first paragraph, by name."""
    names = {point for name in SCENARIOS for point in _points(name, True)}
    assert len(names) >= 40, sorted(names)


def _check(mill: Mill, where: str) -> None:
    try:
        mill.world.check()
    except AssertionError as error:
        raise AssertionError(f"crash {where}") from error
    alive: set[str] = set()
    for change in mill.world.mail.changes:
        if change.kind == "message":
            assert (change.id in alive) == (change.event is not Operation.CREATE), (
                f"doubled or lost, crash {where}"
            )
            (alive.discard if change.event is Operation.DELETE else alive.add)(change.id)
    assert alive == set(mill.world.mail.all_messages), where
    sent = [m for m in mill.server.boxes["Sent"].messages.values() if b"once@" in m.raw]
    assert len(sent) <= len(mill.submitted) <= 1, f"filed twice, crash {where}"
    if mill.submitted and where not in ("after smtp submit", "before queue send"):
        assert len(sent) == 1, f"not filed, crash {where}"
