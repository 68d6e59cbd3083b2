"""Who goes first at the emulator, which does one thing at a time."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any

import pytest

from infra.local import run
from infra.local.emulator_express import Express

TARGET = (b"x-amz-target", b"DynamoDB_20120810.GetItem")


class Emulator:
    """Notes in which order it serves."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.server, dynamodb, streams = (ModuleType(name) for name in ("server", "dynamodb", "streams"))
        for name in ("app", "set_request_account_id", "set_request_region"):
            self.server.__dict__[name] = lambda *arguments: None
        for name in ("extract_access_key_id", "extract_region"):
            self.server.__dict__[name] = lambda *arguments: "local"
        dynamodb.__dict__["handle_request"] = streams.__dict__["handle_request"] = self._handle
        self.express = Express(self.server, dynamodb, streams)

    async def _handle(self, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        self.served.append(body.decode())
        return 200, {}, b"{}"

    async def ask(self, name: str, key: str) -> None:
        signed = (b"authorization", f"AWS4-HMAC-SHA256 Credential={key}/20260101/eu/dynamodb/x".encode())

        async def receive() -> Any:
            return {"type": "http.request", "body": name.encode()}

        async def send(message: Any) -> None:
            assert message["type"] != "http.response.start" or message["status"] == 200

        scope = {"type": "http", "path": "/", "headers": [TARGET, signed]}
        await self.express(scope, receive, send)


def test_of_patient_requests_one_at_most_is_served_before_what_comes_next() -> None:
    emulator = Emulator()
    key = run.patient({"AWS_ACCESS_KEY_ID": "local"})["AWS_ACCESS_KEY_ID"]

    async def scene() -> None:
        patient = [asyncio.create_task(emulator.ask(f"patient {n}", key)) for n in range(4)]
        while not emulator.served:
            await asyncio.sleep(0)
        loop, hasty = asyncio.get_running_loop(), list[Any]()
        # As the loop does it: a socket is read in one round, and the task it begins runs in the next.
        loop.call_soon(lambda: hasty.append(loop.create_task(emulator.ask("hasty", "local"))))
        await asyncio.gather(*patient)
        await hasty[0]

    asyncio.run(scene())
    assert emulator.served.index("hasty") <= 2
    assert [name for name in emulator.served if name != "hasty"] == [f"patient {n}" for n in range(4)]


@pytest.mark.parametrize(("key", "its"), [("local", "local-patient"), ("123456789012", "123456789012")])
def test_history_signs_as_one_that_is_patient_unless_its_key_is_an_account(key: str, its: str) -> None:
    assert run.patient({"AWS_ACCESS_KEY_ID": key, "A": "b"}) == {"AWS_ACCESS_KEY_ID": its, "A": "b"}
