"""What was sent to the emulator's queues and not yet dealt with: part of the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from infra.emulator.journal import QUEUES, Journal

_DONE = f"{QUEUES}Done"


class Queues:
    """Stands around the emulator's SQS; a message may come twice after a crash, as it may on AWS."""

    def __init__(self, sqs: ModuleType, journal: Journal) -> None:
        self._handle = sqs.handle_request
        self._journal = journal
        self._ids: dict[str, str] = {}
        sqs.__dict__["handle_request"] = self._noted
        journal.then(self._send_again)

    async def _noted(self, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        answer = await self._handle(method, path, headers, body, query)
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if answer[0] == 200 and action in _NOTES:
            _NOTES[action](self, action, json.loads(body), json.loads(answer[2] or "{}"))
        return answer

    def _received(self, action: str, asked: Any, told: Any) -> None:
        for message in told.get("Messages") or ():
            self._ids[message["ReceiptHandle"]] = message["MessageId"]

    def _sent(self, action: str, asked: Any, told: Any) -> None:
        ids = [each["MessageId"] for each in told.get("Successful") or [told]]
        self._journal.note(QUEUES + action, json.dumps({"ids": ids, "request": asked}).encode())

    def _deleted(self, action: str, asked: Any, told: Any) -> None:
        handles = [each["ReceiptHandle"] for each in asked.get("Entries") or [asked]]
        ids = [self._ids.pop(handle) for handle in handles if handle in self._ids]
        self._journal.note(_DONE, json.dumps({"ids": ids}).encode())

    async def _send_again(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Send what was sent and not all of it deleted, in its order."""
        notes = [(action.removeprefix(QUEUES), json.loads(body)) for action, body in records]
        done = {id for action, note in notes if action == "Done" for id in note["ids"]}
        for action, note in notes:
            if action != "Done" and not done.issuperset(note["ids"]):
                headers = {"x-amz-target": f"AmazonSQS.{action}"}
                await self._noted("POST", "/", headers, json.dumps(note["request"]).encode(), {})


_NOTES = {
    "ReceiveMessage": Queues._received,
    "SendMessage": Queues._sent,
    "SendMessageBatch": Queues._sent,
    "DeleteMessage": Queues._deleted,
    "DeleteMessageBatch": Queues._deleted,
}
