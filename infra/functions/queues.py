"""Feeds functions from their queues: long polls, deletes what succeeded, leaves the rest to come back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.functions import invocation
from infra.functions.turns import Turns, group_of
from infra.local.resources import client
from infra.local.template import QueueSource

WAIT_SECONDS = 1
HIDDEN_SECONDS = 30
BEAT_SECONDS = 10
PAUSE_SECONDS = 0.5

log = logging.getLogger(__name__)


class QueuePoller:
    """One queue and its function. Messages stay hidden only while somebody works on them.

    With `fair`, no group of messages keeps more threads busy than it leaves free.
    """

    def __init__(self, source: QueueSource, stop: threading.Event, *, fair: bool = False) -> None:
        self._source = source
        self._stop = stop
        self._sqs = client("sqs")
        self._url = self._sqs.get_queue_url(QueueName=source.queue.rpartition(":")[2])["QueueUrl"]
        self._held: set[str] = set()
        self._fair = fair
        self._turns = Turns(1)

    def threads(self, concurrency: int) -> list[threading.Thread]:
        """Return the threads that do the work and the one that keeps it hidden."""
        name, self._turns = self._source.function, Turns(concurrency)
        work = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(concurrency)
        ]
        return [*work, threading.Thread(target=self._beat, name=f"{name}-beat", daemon=True)]

    def give_back(self) -> None:
        """Show the messages of unfinished calls again at once, and those that wait for their turn."""
        self._hide(0)
        for message in self._turns.waiting():
            self._sqs.send_message(
                QueueUrl=self._url,
                MessageBody=message["Body"],
                MessageAttributes=message.get("MessageAttributes", {}),
            )

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._round()
            except (BotoCoreError, ClientError) as error:
                log.warning("queue of %s: %s", self._source.function, error)
                self._stop.wait(PAUSE_SECONDS)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            self._hide(HIDDEN_SECONDS)

    def _hide(self, seconds: int) -> None:
        for handle in tuple(self._held):
            try:
                self._sqs.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=handle, VisibilityTimeout=seconds
                )
            except (BotoCoreError, ClientError) as error:
                log.debug("visibility of a finished message: %s", error)

    def _round(self) -> None:
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(self._source.batch_size, 10),
            WaitTimeSeconds=WAIT_SECONDS,
            VisibilityTimeout=HIDDEN_SECONDS,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages") or []
        if messages and not self._stop.is_set():
            self._take(messages)

    def _take(self, messages: list[dict[str, Any]]) -> None:
        """Work on messages, or have them wait until fewer of their group are under way."""
        if not self._fair:
            self._work(messages)
            return
        for message in messages:
            turn: tuple[str, dict[str, Any]] | None = (group_of(message), message)
            if not self._turns.enter(group_of(message), message):
                self._delete([message])  # a signal: if it gets lost, a later tick finds the same work
                continue
            while turn:
                try:
                    self._work([turn[1]])
                finally:
                    turn = self._turns.leave(turn[0])

    def _work(self, messages: list[dict[str, Any]]) -> None:
        handles = {message["ReceiptHandle"] for message in messages}
        self._held |= handles
        try:
            failed = self._failed(messages)
        finally:
            self._held -= handles
        self._delete([message for message in messages if message["MessageId"] not in failed])

    def _delete(self, messages: list[dict[str, Any]]) -> None:
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        if entries:
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def _failed(self, messages: list[dict[str, Any]]) -> set[str]:
        event = {"Records": [record(message, self._source.queue) for message in messages]}
        try:
            answer = invocation.invoke(self._source.function, event, self._source.timeout)
        except invocation.FunctionFailed:
            return {message["MessageId"] for message in messages}
        return set(invocation.failures(answer))


def record(message: Mapping[str, Any], arn: str) -> dict[str, Any]:
    """Return a message as a Lambda event shows it."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {**_stamps(), **message.get("Attributes", {})},
        "messageAttributes": message.get("MessageAttributes", {}),
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3],
    }


def _stamps() -> dict[str, str]:
    return {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000))}
