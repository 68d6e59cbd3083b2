"""SQS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from chalicelib.config import Settings
from chalicelib.domain.jobs import Job, Queue, dump, only_queue
from chalicelib.store.aws.connection import client

BATCH = 10


class NotQueued(Exception):
    """SQS refused some of the messages."""


class SqsQueues:
    """The port Queues on SQS."""

    def __init__(self, settings: Settings) -> None:
        self._sqs = client(settings, "sqs")
        self._urls = settings.queue_urls
        # A group on a standard queue makes it a fair queue. Emulators refuse it: the local runtime, which is
        # fair itself, finds it in an attribute.
        self._fair = settings.endpoint_url is None

    def send(
        self,
        jobs: Sequence[Job],
        group: str | Sequence[str],
        delay: int = 0,
        spread: Sequence[int] = (),
    ) -> None:
        """Put jobs of one queue into it, seen after `delay` seconds (at most 900).

        With `spread` each has a delay of its own, and each may have a group of its own. Raises NotQueued.
        """
        groups = [group] * len(jobs) if isinstance(group, str) else group
        every = list(zip(jobs, groups, spread or [delay] * len(jobs), strict=True))
        for start in range(0, len(every), BATCH):
            entries = [
                self._entry(index, job, group) | ({"DelaySeconds": seconds} if seconds else {})
                for index, (job, group, seconds) in enumerate(every[start : start + BATCH])
            ]
            self._send_batch(only_queue(jobs).name, entries)

    def waiting(self, queue: Queue[Any]) -> int:
        name = "ApproximateNumberOfMessages"
        answer = self._sqs.get_queue_attributes(QueueUrl=self._urls[queue.name], AttributeNames=[name])
        return int(answer["Attributes"][name])

    def _send_batch(self, queue: str, entries: list[dict[str, Any]]) -> None:
        answer = self._sqs.send_message_batch(QueueUrl=self._urls[queue], Entries=entries)
        if answer.get("Failed"):
            codes = sorted({failed["Code"] for failed in answer["Failed"]})
            raise NotQueued(f"{len(answer['Failed'])} messages for {queue}: {', '.join(codes)}")

    def _entry(self, index: int, job: Job, group: str) -> dict[str, Any]:
        entry = {"Id": str(index), "MessageBody": json.dumps(dump(job), separators=(",", ":"))}
        if self._fair:
            return {**entry, "MessageGroupId": group}
        return {**entry, "MessageAttributes": {"group": {"DataType": "String", "StringValue": group or "-"}}}
