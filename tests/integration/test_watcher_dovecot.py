"""The watcher on a real mail server. `make watch-test` watches 300 mailboxes and prints how soon it tells."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from imapclient import SEEN

from infra.demo.crowd import CrowdedDovecot
from infra.demo.dovecot import PASSWORD, Dovecot, installed
from infra.demo.visitor import login
from infra.watcher.limits import Limits
from tests.fakes.services import MemoryQueues
from tests.integration.watching import Scene, eventually, watching

pytestmark = pytest.mark.server
MAILBOXES = int(os.environ.get("POSTERN_WATCH_MAILBOXES", "10"))
MAIL = b"From: a@b.example\r\nSubject: new\r\nMessage-ID: <new@b.example>\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    if not installed():
        if os.environ.get("CI") == "true":
            pytest.fail("Dovecot is not installed")
        pytest.skip("Dovecot is not installed")
    server = CrowdedDovecot(mailboxes=MAILBOXES).start()
    yield server
    server.stop()


@dataclass
class TimedQueues(MemoryQueues):
    """Remembers when each account was asked for last."""

    at: dict[str, float] = field(default_factory=dict)

    def send(self, *arguments: Any, **named: Any) -> None:
        super().send(*arguments, **named)
        self.at |= {job.account_id: time.monotonic() for job in arguments[0]}


def scene_of(server: Dovecot, count: int) -> Scene:
    scene = Scene()
    scene.queues = TimedQueues()
    for number in range(count):
        scene.connect(f"a{number}", server.imap, password=PASSWORD)
    return scene


def inbox(server: Dovecot, user: str, act: Callable[[Any], object]) -> None:
    """Do something in a user's inbox, as their own mail program would."""
    with login(server, user) as client:
        client.select_folder("INBOX")
        act(client)


def asked_more(scene: Scene, account_id: str, before: int) -> bool:
    return scene.asked()[account_id] > before


def test_mail_flags_and_deletions_are_told(server: Dovecot) -> None:
    acts: list[Callable[[Any], object]] = [
        lambda client: client.append("INBOX", MAIL),
        lambda client: client.add_flags(client.search(), SEEN),
        lambda client: (client.delete_messages(client.search()), client.expunge()),
    ]

    async def story() -> None:
        scene = scene_of(server, 2)
        async with watching(scene):
            await eventually(lambda: scene.asked() == {"a0": 1, "a1": 1})
            for act in acts:
                before = scene.asked()["a1"]
                await asyncio.to_thread(inbox, server, "a1", act)
                await eventually(partial(asked_more, scene, "a1", before))
            assert scene.asked()["a0"] == 1

    asyncio.run(story())


def test_mail_that_came_while_nobody_watched_is_told(server: Dovecot) -> None:
    async def story() -> None:
        scene = scene_of(server, 1)
        async with watching(scene):
            await eventually(lambda: scene.asked()["a0"] == 1)
        await asyncio.to_thread(inbox, server, "a0", lambda client: client.append("INBOX", MAIL))
        async with watching(scene):
            await eventually(lambda: scene.asked()["a0"] == 2)

    asyncio.run(story())


def test_every_mailbox_is_watched_at_once(server: Dovecot) -> None:
    async def story() -> list[float]:
        scene = scene_of(server, MAILBOXES)
        queues = scene.queues
        assert isinstance(queues, TimedQueues)
        limits = Limits(list_seconds=1, logins_per_second=50, logins_per_second_and_host=50)
        async with watching(scene, limits):
            await eventually(lambda: len(scene.asked()) == MAILBOXES, seconds=120)
            await asyncio.sleep(limits.quiet_seconds)
            delivered: dict[str, float] = {}
            queues.at.clear()
            for number in range(MAILBOXES):
                user = f"a{number}"
                await asyncio.to_thread(inbox, server, user, lambda client: client.append("INBOX", MAIL))
                delivered[user] = time.monotonic()
            await eventually(lambda: len(queues.at) == MAILBOXES, seconds=60)
            return sorted(queues.at[user] - delivered[user] for user in delivered)

    waits = asyncio.run(story())
    cuts = [round(cut * 1000) for cut in statistics.quantiles(waits, n=100)]
    print(f"{MAILBOXES} mailboxes, delivery to enqueue: p50 {cuts[49]} ms, p95 {cuts[94]} ms")
