"""The emulator serves while a forked child writes its state, and a crash at any moment loses nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from infra.emulator import snapshots as emulator_snapshots
from infra.emulator.journal import Journal, records
from infra.emulator.queues import Queues
from infra.emulator.snapshots import Shelf, Snapshots


class Emulator:
    """A DynamoDB that is a list of what it was asked to write, with a snapshot on the disk."""

    def __init__(self, root: Path, save: Callable[[], None] = lambda: None) -> None:
        self.root, self._save = root, save
        self.server, self.dynamodb, self.persistence = (ModuleType(name) for name in ("a", "b", "c"))
        self.dynamodb.__dict__.update(handle_request=self._handle)
        self.persistence.__dict__.update(STATE_DIR="", save_all=self._save_all)
        self.server.__dict__.update(
            app=self._app,
            _build_persistence_save_dict=lambda: {"dynamodb": lambda: self.written},
            set_request_account_id=str,
            set_request_region=str,
        )
        self.lock = (root / "lock").open("w")
        self.shelf = Shelf(root, self.persistence)
        self.written: list[str] = self._loaded()
        self.numbers: list[str] = []
        self.journal = Journal(root, self.server, self.dynamodb, "local", "here")
        self.snapshots = Snapshots(self.server, self.shelf, self.journal, self.lock)

    def _loaded(self) -> list[str]:
        path = self.root / "aws" / "dynamodb.json"
        return list(json.loads(path.read_text())) if path.exists() else []

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self.server.save_all(self.server._build_persistence_save_dict())

    async def _handle(self, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        if body == b"refused":
            return 400, {}, b""
        if "Get" not in headers["x-amz-target"]:
            self.written.append(body.decode())
            self.numbers.append(self.dynamodb._next_stream_seq())
        return 200, {}, b""

    def _save_all(self, services: Mapping[str, Callable[[], Any]]) -> None:
        for name, state in services.items():
            if (found := state()) is not None:
                Path(self.persistence.STATE_DIR, f"{name}.json").write_text(json.dumps(found))
            self._save()

    async def ask(self, body: str, action: str = "PutItem") -> None:
        await self.dynamodb.handle_request("POST", "/", {"x-amz-target": f"X.{action}"}, body.encode(), {})


def test_what_was_answered_after_a_snapshot_is_done_again_with_the_same_stream(tmp_path: Path) -> None:
    first = Emulator(tmp_path)

    async def scene() -> None:
        await first.ask("a")
        first.shelf.save({"dynamodb": lambda: list(first.written)}, first.journal.turn())
        for body in ("b", "refused", "c", "d"):
            await first.ask(body)
        await first.ask("x", "GetItem")

    asyncio.run(scene())
    second = Emulator(tmp_path)  # the first was killed
    assert second.written == ["a"]
    asyncio.run(second.journal.play(second.shelf.number))
    assert second.written == ["a", "b", "c", "d"]
    assert second.numbers == first.numbers[1:] and len(set(first.numbers)) == 4
    third = Emulator(tmp_path)  # killed again before it could save
    asyncio.run(third.journal.play(third.shelf.number))
    assert third.written == ["a", "b", "c", "d"]


class Sqs:
    """A queue that numbers its messages."""

    def __init__(self, journal: Journal) -> None:
        self.module = ModuleType("sqs")
        self.module.__dict__["handle_request"] = self._handle
        self.bodies: list[str] = []
        self.queues = Queues(self.module, journal)

    async def ask(self, action: str, **request: Any) -> Any:
        headers = {"x-amz-target": f"AmazonSQS.{action}"}
        answer = await self.module.handle_request("POST", "/", headers, json.dumps(request).encode(), {})
        return json.loads(answer[2] or "{}")

    async def _handle(self, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        asked, told = json.loads(body), dict[str, Any]()
        if headers["x-amz-target"].endswith("Message") and "MessageBody" in asked:
            self.bodies.append(asked["MessageBody"])
            told = {"MessageId": f"m{len(self.bodies)}"}
        if headers["x-amz-target"].endswith("ReceiveMessage"):
            ids = [f"m{number + 1}" for number in range(len(self.bodies))]
            told = {"Messages": [{"MessageId": id, "ReceiptHandle": f"h{id}"} for id in ids]}
        return 200, {}, json.dumps(told).encode() if told else b""


def test_what_was_sent_and_not_deleted_is_sent_again(tmp_path: Path) -> None:
    first = Emulator(tmp_path)
    queue = Sqs(first.journal)

    async def scene() -> None:
        for body in ("a", "b", "c", "d"):
            await queue.ask("SendMessage", MessageBody=body)
        await queue.ask("ReceiveMessage")
        await queue.ask("DeleteMessage", ReceiptHandle="hm1")
        await queue.ask("DeleteMessageBatch", Entries=[{"ReceiptHandle": "hm3"}, {"ReceiptHandle": "old"}])

    asyncio.run(scene())
    for _ in range(2):  # killed twice before it could save
        emulator = Emulator(tmp_path)
        again = Sqs(emulator.journal)
        asyncio.run(emulator.journal.play(emulator.shelf.number))
    assert set(again.bodies) == {"b", "d"}


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_record_that_a_crash_has_cut_is_left_out(tmp_path: Path, cut: int) -> None:
    emulator = Emulator(tmp_path)
    asyncio.run(emulator.ask("first"))
    whole = (path := tmp_path / "journal.1").read_bytes()
    asyncio.run(emulator.ask("second " * 5))
    path.write_bytes(path.read_bytes()[: len(whole) + cut])
    assert [body for *_, body in records(path)] == [b"first"]


def test_a_snapshot_that_breaks_off_leaves_the_one_before_it(tmp_path: Path) -> None:
    class Broken(Exception):
        """The disk is full, or the process killed."""

    def fail() -> None:
        raise Broken

    emulator = Emulator(tmp_path)
    emulator.written = ["a"]
    emulator.shelf.save({"dynamodb": lambda: ["a"]}, 1)
    emulator._save = fail
    with pytest.raises(Broken):
        emulator.shelf.save({"dynamodb": lambda: ["half"]}, 2)
    assert Emulator(tmp_path).written == ["a"]


def test_a_failure_that_the_emulator_only_logs_is_no_snapshot(tmp_path: Path) -> None:
    emulator = Emulator(tmp_path)
    emulator.shelf.save({"dynamodb": lambda: ["a"]}, 1)
    emulator.persistence.__dict__["save_all"] = lambda services: [state() for state in services.values()]
    with pytest.raises(OSError, match=r"dynamodb\.json"):
        emulator.shelf.save({"dynamodb": lambda: ["b"]}, 2)
    assert emulator.shelf.number == 1


def test_a_service_that_was_not_used_this_time_keeps_its_state(tmp_path: Path) -> None:
    emulator = Emulator(tmp_path)
    emulator.shelf.save({"kms": lambda: ["key"], "dynamodb": lambda: []}, 1)
    emulator.shelf.save({"kms": lambda: None, "dynamodb": lambda: ["b"]}, 2)
    emulator.shelf.forget_older()
    assert json.loads((tmp_path / "aws" / "kms.json").read_text()) == ["key"]
    assert sorted(path.name for path in tmp_path.glob("aws*")) == ["aws", "aws.2"]


def test_state_of_a_version_without_snapshots_is_read(tmp_path: Path) -> None:
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "dynamodb.json").write_text('["old"]')
    emulator = Emulator(tmp_path)
    assert emulator.written == ["old"]
    emulator.shelf.save({"dynamodb": lambda: ["new"]}, 1)
    assert Emulator(tmp_path).written == ["new"]


def test_an_orderly_stop_saves_last_and_leaves_no_journal_behind(tmp_path: Path) -> None:
    emulator = Emulator(tmp_path)

    async def scene() -> None:
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        inbox.put_nowait({"type": "lifespan.startup"})
        started = asyncio.Event()

        async def send(message: Any) -> None:
            started.set()

        serving = asyncio.create_task(emulator.server.app({"type": "lifespan"}, inbox.get, send))
        await started.wait()
        await emulator.ask("a")
        inbox.put_nowait({"type": "lifespan.shutdown"})
        await serving

    asyncio.run(scene())
    assert Emulator(tmp_path).written == ["a"]
    assert sum(path.stat().st_size for path in tmp_path.glob("journal.*")) == 0


def test_a_key_is_saved_before_anybody_hears_of_it(tmp_path: Path) -> None:
    emulator = Emulator(tmp_path)
    heard: list[list[str]] = []

    async def make_key(scope: Any, receive: Any, send: Any) -> None:
        emulator.written.append("key")
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Any) -> None:
        heard.append(json.loads((tmp_path / "aws" / "dynamodb.json").read_text()))

    emulator.snapshots._app = make_key
    scope = {"type": "http", "headers": [(b"x-amz-target", b"TrentService.CreateKey")]}
    asyncio.run(emulator.server.app(scope, None, send))
    assert heard == [["key"]]


def test_a_connection_that_is_closed_meanwhile_is_closed_for_the_client_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(emulator_snapshots, "EVERY_SECONDS", 0.01)
    emulator = Emulator(tmp_path, lambda: time.sleep(60))
    made = emulator.snapshots

    async def scene() -> None:
        accepted = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        theirs = await accepted
        await emulator.ask("a")
        saving = asyncio.create_task(made._save_often())
        while not made._child:
            await asyncio.sleep(0.01)
        theirs.close()
        try:
            assert await asyncio.wait_for(reader.read(), 10) == b""
            held = Path(f"/proc/{made._child}/fd/{emulator.lock.fileno()}").readlink()
            assert held == tmp_path / "lock"  # nobody may start while it writes
        finally:
            made._end_child()
            saving.cancel()
            writer.close()
            server.close()

    asyncio.run(scene())
