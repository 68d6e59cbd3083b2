"""The watcher against servers that behave, fail, lie and attack."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chalicelib.domain.jobs import Job
from chalicelib.store.values import Poll
from infra.watcher.watch import State
from tests.fakes.imap_server import FakeImap
from tests.integration.watching import HASTY, Scene, eventually, watching

Story = Callable[[FakeImap, Scene], Awaitable[None]]


def tell(story: Story, server: FakeImap | None = None, accounts: int = 1) -> None:
    """Run a story with a server and accounts a0, a1, … on it."""

    async def play() -> None:
        imap = await (server or FakeImap()).start()
        scene = Scene()
        for number in range(accounts):
            scene.connect(f"a{number}", imap.port)
        try:
            await story(imap, scene)
        finally:
            await imap.stop()

    asyncio.run(play())


@pytest.fixture(autouse=True)
def no_forgotten_failures(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing may end in the edge that logs a trace: every failure here has been foreseen."""
    yield
    assert not [record for record in caplog.get_records("call") if record.exc_info]


@pytest.mark.parametrize(
    "change", [b"* 3 EXISTS", b"* 1 EXPUNGE", b"* 2 FETCH (FLAGS (\\Seen))", b"* VANISHED 7"]
)
def test_a_change_is_enqueued_and_so_is_what_came_while_nobody_watched(change: bytes) -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene) as watcher:
            await eventually(lambda: len(imap.idling) == 3)
            await eventually(lambda: scene.asked() == {"a0": 1, "a1": 1, "a2": 1})
            assert watcher.states() == {State.WATCHING: 3}
            imap.say(change + b"\r\n", "a1")
            await eventually(lambda: scene.asked() == {"a0": 1, "a1": 2, "a2": 1})

    tell(story, accounts=3)


def test_words_that_are_no_change_enqueue_nothing() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene):
            await eventually(lambda: imap.idling and scene.asked()["a0"] == 1)
            imap.say(b"* OK Still here {4}\r\n* 1 RECENT\r\n* FLAGS (\\Seen)\r\n* CAPABILITY IMAP4rev1\r\n")
            imap.say(b"* STATUS x (A {6}\r\n3 EXISTS\r\n)\r\nnonsense \xff\x00\r\n+ more\r\n\r\n")
            await asyncio.sleep(3 * HASTY.quiet_seconds)
            assert scene.asked() == {"a0": 1}
            imap.say(b"* 3 EXISTS\r\n")
            await eventually(lambda: scene.asked() == {"a0": 2})
            assert imap.connections == 1

    tell(story)


def test_a_burst_is_one_enqueue_at_once_and_one_at_its_end() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene, replace(HASTY, quiet_seconds=0.5)):
            await eventually(lambda: imap.idling and scene.asked()["a0"] == 1)
            await asyncio.sleep(0.6)
            for number in range(500):
                imap.say(b"* %d EXISTS\r\n" % number)
            await eventually(lambda: scene.asked()["a0"] == 3)
            await asyncio.sleep(0.6)
            assert scene.asked()["a0"] == 3

    tell(story)


def test_a_message_in_a_literal_is_neither_kept_nor_read_as_an_answer() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene):
            await eventually(lambda: imap.idling and scene.asked()["a0"] == 1)
            body = b"* BYE\r\n" * 100_000
            imap.say(b"* 1 FETCH (BODY[] {%d}\r\n%s)\r\n" % (len(body), body))
            await eventually(lambda: scene.asked()["a0"] == 2)
            assert imap.connections == 1

    tell(story)


@pytest.mark.parametrize(
    "attack",
    [
        b"* BYE shutting down\r\n",
        b"x" * 200_000,
        b"* 1 FETCH (BODY[] {99999999999}\r\n",
        b"* OK no\r\n" * 500_000,
        b"W2 NO no more\r\n",
        b"W2 OK ended by itself\r\n",
    ],
    ids=["bye", "endless line", "huge literal", "flood", "refusal", "early end"],
)
def test_a_server_that_misbehaves_is_left_and_asked_again_later(attack: bytes) -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene):
            await eventually(lambda: imap.idling and scene.asked()["a0"] == 1)
            imap.say(attack)
            await eventually(lambda: imap.connections == 2 and imap.idling and scene.asked()["a0"] == 2)

    tell(story)


@pytest.mark.parametrize("silent", ["EXAMINE", "IDLE", "DONE", "NOOP"])
def test_a_server_that_falls_silent_is_left(silent: str) -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        imap.answers[silent] = None
        async with watching(scene, replace(HASTY, turn_seconds=0.05, answer_seconds=0.3)):
            await eventually(lambda: imap.connections >= 2)
            del imap.answers[silent]
            turns = imap.commands.count("IDLE")
            await eventually(lambda: imap.idling and imap.commands.count("IDLE") >= turns + 2)
            before = scene.asked()["a0"]
            imap.say(b"* 3 EXISTS\r\n")
            await eventually(lambda: scene.asked()["a0"] > before)

    tell(story)


def test_the_watch_is_renewed_turn_after_turn_on_one_connection() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene, replace(HASTY, turn_seconds=0.05)):
            await eventually(lambda: imap.commands.count("IDLE") >= 4)
            assert imap.connections == 1 and imap.commands.count("NOOP") >= 3
            assert scene.asked() == {"a0": 1}
            imap.answers["NOOP"] = b"* 3 EXISTS\r\nTAG OK done\r\n"  # a server that says nothing in IDLE
            await eventually(lambda: scene.asked()["a0"] >= 2)

    tell(story)


def test_a_server_without_idle_is_asked_for_news() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene):
            await eventually(lambda: imap.commands.count("NOOP") >= 3)
            assert scene.asked() == {"a0": 1} and "IDLE" not in imap.commands
            imap.answers["NOOP"] = b"* 3 EXISTS\r\nTAG OK done\r\n"
            await eventually(lambda: scene.asked()["a0"] >= 2)
            assert imap.connections == 1

    tell(story, FakeImap(capabilities="IMAP4rev1"))


def test_refused_credentials_are_not_tried_again_until_they_change() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        imap.answers["LOGIN"] = b"TAG NO [AUTHENTICATIONFAILED] wrong\r\n"
        async with watching(scene) as watcher:
            await eventually(lambda: watcher.states() == {State.REFUSED: 1})
            await eventually(lambda: scene.asked() == {"a0": 1})  # the sync decides what becomes of it
            await asyncio.sleep(10 * HASTY.list_seconds)
            assert len(imap.logins) == 1
            del imap.answers["LOGIN"]
            scene.connect("a0", imap.port, password="new")
            await eventually(lambda: imap.idling and watcher.states() == {State.WATCHING: 1})
            assert len(imap.logins) == 2

    tell(story)


def test_a_watch_moves_with_its_account_to_another_server() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        other = await FakeImap().start()
        async with watching(scene):
            await eventually(lambda: len(imap.idling) == 2)
            scene.connect("a0", other.port)
            await eventually(lambda: list(other.idling.values()) == ["a0"])
            await eventually(lambda: list(imap.idling.values()) == ["a1"])
            scene.connect("a1", imap.port)  # active, but nothing new
            await asyncio.sleep(5 * HASTY.list_seconds)
            assert imap.logins.count("a1") == 1
        await other.stop()

    tell(story, accounts=2)


def test_a_refusal_that_the_sync_does_not_share_is_questioned_in_the_end() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        imap.answers["LOGIN"] = b"TAG NO wrong\r\n"
        async with watching(scene, replace(HASTY, refused_wait=0.3)):
            await eventually(lambda: len(imap.logins) == 1)
            del imap.answers["LOGIN"]
            await eventually(lambda: imap.idling)
            assert len(imap.logins) == 2

    tell(story)


def test_a_server_that_asks_for_patience_gets_it() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        imap.answers["LOGIN"] = b"TAG NO throttled. Suggested Backoff Time: 60000 milliseconds\r\n"
        async with watching(scene) as watcher:
            await eventually(lambda: len(imap.logins) == 1)
            await asyncio.sleep(0.5)
            assert len(imap.logins) == 1 and watcher.states() == {State.CONNECTING: 1}

    tell(story)


@dataclass
class Dripping(FakeImap):
    """Never comes to the end of its greeting."""

    stopped: bool = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while not self.stopped:
                writer.write(b"*")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()


def test_servers_that_drip_keep_nobody_else_from_logging_in() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        dripping = [Dripping() for _ in range(3)]
        for number, server in enumerate(dripping):
            await server.start()
            for one in range(5):
                scene.connect(f"A{number}{one}", server.port)
        limits = replace(HASTY, login_seconds=0.1, logins_at_once=2, logins_at_once_and_host=2)
        async with watching(scene, limits):
            await eventually(lambda: list(imap.idling.values()) == ["a0"])
            await asyncio.sleep(1)
            assert sum(server.connections for server in dripping) <= 6
            for server in dripping:
                server.stopped = True
            await eventually(lambda: sum(server.connections for server in dripping) > 6)

    tell(story)


def test_a_restart_of_the_server_brings_every_account_back_once_each() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene):
            await eventually(lambda: len(imap.idling) == 30 and len(scene.asked()) == 30)
            port = imap.port
            await imap.stop()
            await eventually(lambda: not imap.idling)
            again = await FakeImap().start(port)
            await eventually(lambda: len(again.idling) == 30)
            await eventually(lambda: set(scene.asked().values()) == {2})
            assert sorted(again.logins) == sorted(set(again.logins))
            await again.stop()

    tell(story, accounts=30)


def test_accounts_come_and_go() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene) as watcher:
            await eventually(lambda: len(imap.idling) == 2)
            scene.polls.remove("a0")
            scene.connect("b0", imap.port)
            await eventually(lambda: sorted(imap.idling.values()) == ["a1", "b0"])
            assert sum(watcher.states().values()) == 2
        await eventually(lambda: not imap.idling)  # the end of the watcher ends its connections

    tell(story, accounts=2)


def test_accounts_beyond_the_capacity_are_left_to_the_poll_until_there_is_room() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene, capacity=2):
            await eventually(lambda: sorted(imap.idling.values()) == ["a0", "a1"])
            await asyncio.sleep(5 * HASTY.list_seconds)
            assert sorted(imap.logins) == ["a0", "a1"]
            scene.polls.remove("a0")
            await eventually(lambda: sorted(imap.idling.values()) == ["a1", "a2"])

    tell(story, accounts=3)


def test_a_poll_list_that_cannot_be_read_ends_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        async with watching(scene):
            await eventually(lambda: imap.idling and scene.asked()["a0"] == 1)

            def broken() -> Any:
                raise OSError("no store")

            with monkeypatch.context() as patch:
                patch.setattr(scene.polls, "all", broken)
                await asyncio.sleep(5 * HASTY.list_seconds)
                imap.say(b"* 3 EXISTS\r\n")
                await eventually(lambda: scene.asked()["a0"] == 2)
            assert imap.connections == 1

    tell(story)


def test_a_queue_that_fails_loses_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        send, failures = scene.queues.send, [OSError("no queue")] * 2

        def failing(jobs: Sequence[Job], group: str) -> None:
            if failures:
                raise failures.pop()
            send(jobs, group)

        monkeypatch.setattr(scene.queues, "send", failing)
        async with watching(scene):
            await eventually(lambda: scene.asked() == {"a0": 1, "a1": 1})
            assert not failures

    tell(story, accounts=2)


def test_an_account_that_is_gone_troubles_nobody_else() -> None:
    async def story(imap: FakeImap, scene: Scene) -> None:
        scene.polls.put(Poll(account_id="gone", active_at=0))
        async with watching(scene) as watcher:
            await eventually(lambda: list(imap.idling.values()) == ["a0"])
            assert watcher.states() == {State.WATCHING: 1, State.CONNECTING: 1}

    tell(story)
