"""The emulator goes on serving while a forked child writes its state."""

from __future__ import annotations

import asyncio
import time
from types import ModuleType

import pytest

from infra.local import emulator_snapshots
from infra.local.emulator_snapshots import Snapshots


def snapshots() -> tuple[Snapshots, ModuleType]:
    """Return snapshots that take long to write, and a DynamoDB to write into."""
    server, dynamodb = ModuleType("server"), ModuleType("dynamodb")
    for name in ("_set_item", "_remove_item"):
        dynamodb.__dict__[name] = lambda: None
    server.__dict__.update(app=None, _build_persistence_save_dict=dict, save_all=lambda state: time.sleep(60))
    return Snapshots(server, dynamodb), dynamodb


def test_a_connection_that_is_closed_meanwhile_is_closed_for_the_client_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emulator_snapshots, "EVERY_SECONDS", 0.01)
    made, dynamodb = snapshots()

    async def scene() -> None:
        accepted = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        theirs = await accepted
        dynamodb._set_item()
        saving = asyncio.create_task(made._save_often())
        while not made._child:
            await asyncio.sleep(0.01)
        theirs.close()
        try:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        finally:
            made._end_child()
            saving.cancel()
            writer.close()
            server.close()

    asyncio.run(scene())
