"""Feeds functions from table streams: from a checkpoint, with Lambda's order, retries and bisection."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.store import direct
from infra.local import invocation
from infra.local.filters import wanted
from infra.local.lanes import Lanes, Record
from infra.local.resources import client
from infra.local.state import read_json, write_json
from infra.local.template import StreamSource

QUICK_SECONDS, SLOW_SECONDS = 0.02, 0.2
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 5.0
PAUSE_SECONDS = 0.5
THREAD = "stream"
"""What the operating system calls a thread that follows a stream: its time is not our functions' own."""

PAGE = 1_000
"""Records read at once; what the filters leave of them is dealt out in batches."""


log = logging.getLogger(__name__)


class StreamPoller:
    """One stream and its function; a checkpoint file remembers the last record dealt with per shard."""

    def __init__(self, source: StreamSource, checkpoint: Path, stop: threading.Event) -> None:
        self._source = source
        self._path = checkpoint
        self._stop = stop
        self._streams = client("dynamodbstreams")
        direct.install(self._streams, {"GetRecords"}, binary=False)  # as Lambda hands them on
        self._sqs = client("sqs")
        kept = read_json(checkpoint) or {}
        self._lanes: dict[str, Lanes] = {}
        self._read: dict[str, int] = {}
        self._done: dict[str, str] = kept.get("shards", {}) if kept.get("stream") == source.stream else {}

    def thread(self) -> threading.Thread:
        """Return the thread that does the work."""
        return threading.Thread(target=self._run, name=self._source.function, daemon=True)

    def _run(self) -> None:
        show_thread_as(THREAD)
        while not self._stop.is_set():
            try:
                self._follow()
            except (BotoCoreError, ClientError) as error:
                log.warning("stream of %s: %s", self._source.function, error)
                self._stop.wait(PAUSE_SECONDS)

    def _follow(self) -> None:
        """Read every shard in turn until one of them ends or fails."""
        description = self._streams.describe_stream(StreamArn=self._source.stream)["StreamDescription"]
        iterators = {shard["ShardId"]: self._iterator(shard["ShardId"]) for shard in description["Shards"]}
        pause = QUICK_SECONDS
        while not self._stop.is_set() and all(iterators.values()):
            busy = full = False
            for shard, iterator in iterators.items():
                answer = self._streams.get_records(ShardIterator=iterator, Limit=PAGE)
                busy = busy or bool(answer["Records"])
                full = full or len(answer["Records"]) == PAGE
                self._deal(shard, answer["Records"])
                iterators[shard] = answer.get("NextShardIterator")
            pause = QUICK_SECONDS if busy else min(pause * 1.5, SLOW_SECONDS)
            self._stop.wait(0 if full else pause)

    def _iterator(self, shard: str) -> str | None:
        place = {"StreamArn": self._source.stream, "ShardId": shard}
        if shard in self._done:
            try:
                after = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._done[shard]}
                return str(self._streams.get_shard_iterator(**place, **after)["ShardIterator"])
            except self._streams.exceptions.TrimmedDataAccessException:
                log.info("%s: the checkpoint is trimmed, reading from the oldest", self._source.function)
        answer = self._streams.get_shard_iterator(**place, ShardIteratorType="TRIM_HORIZON")
        return str(answer["ShardIterator"])

    def _deal(self, shard: str, raw: list[Any]) -> None:
        last = self._read.get(shard, int(self._done.get(shard, "0")))
        fresh = [record for record in raw if int(_sequence(record)) > last]
        if not fresh:
            return
        self._read[shard] = int(_sequence(fresh[-1]))
        chosen = [record for record in fresh if wanted(record, self._source.filters)]
        records = [lambda_record(record, self._source.stream) for record in chosen]
        self.lanes(shard).put(records, _sequence(fresh[-1]))

    def lanes(self, shard: str) -> Lanes:
        """Return what deals out the records of a shard."""
        if shard not in self._lanes:
            reached = partial(self._checkpoint, shard)
            made = Lanes(self._work, reached, self._source.batch_size, self._stop)
            made.start(self._source.function, self._source.workers)
            self._lanes[shard] = made
        return self._lanes[shard]

    def _work(self, records: list[Record]) -> bool:
        while not self._stop.is_set():
            try:
                return self._deliver(records)
            except (BotoCoreError, ClientError) as error:
                log.warning("records of %s: %s", self._source.function, error)
                self._stop.wait(PAUSE_SECONDS)
        return False

    def _deliver(self, records: list[Record]) -> bool:
        """Call the function until each record is done or given up; False if we were told to stop."""
        pending = [(records, 0)] if records else []
        while pending and not self._stop.is_set():
            batch, tries = pending.pop(0)
            good, raised = self._attempt(batch)
            rest = batch[good:]
            if rest:
                pending = self._again(rest, 0 if good else tries + 1) + pending
            if raised:
                self._stop.wait(min(RETRY_SECONDS * 2**tries, LONGEST_RETRY_SECONDS))
        return not pending

    def _again(self, rest: list[Record], tries: int) -> list[tuple[list[Record], int]]:
        if self._source.bisect and tries and len(rest) > 1:
            half = len(rest) // 2
            return [(rest[:half], tries - 1), (rest[half:], tries - 1)]
        if 0 <= self._source.retries < tries:
            self._give_up(rest)
            return []
        return [(rest, tries)]

    def _attempt(self, batch: list[Record]) -> tuple[int, bool]:
        """Return how many records from the start are done, and whether some are not."""
        try:
            answer = invocation.invoke(self._source.function, {"Records": batch}, self._source.timeout)
        except invocation.FunctionFailed:
            return 0, True
        failed = set(invocation.failures(answer))
        for place, record in enumerate(batch):
            if _sequence(record) in failed:
                return place, True
        return len(batch), False

    def _give_up(self, records: list[Record]) -> None:
        log.error("%s: %d records given up", self._source.function, len(records))
        if not self._source.on_failure:
            return
        body = {
            "requestContext": {"functionArn": self._source.function, "condition": "RetryAttemptsExhausted"},
            "DDBStreamBatchInfo": {
                "startSequenceNumber": _sequence(records[0]),
                "endSequenceNumber": _sequence(records[-1]),
                "batchSize": len(records),
                "streamArn": self._source.stream,
            },
        }
        url = self._sqs.get_queue_url(QueueName=self._source.on_failure.rpartition(":")[2])["QueueUrl"]
        self._sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))

    def _checkpoint(self, shard: str, sequence: str) -> None:
        self._done[shard] = sequence
        write_json(self._path, {"stream": self._source.stream, "shards": self._done})


def show_thread_as(name: str) -> None:
    """Name this thread in the operating system's lists, where that is possible (Linux)."""
    with contextlib.suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name)


def _sequence(record: Mapping[str, Any]) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def lambda_record(record: Mapping[str, Any], arn: str) -> Record:
    """Return a record of the streams API as a Lambda event shows it."""
    return {**record, "eventSource": "aws:dynamodb", "eventSourceARN": arn}
