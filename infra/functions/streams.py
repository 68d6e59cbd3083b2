"""Feeds functions from table streams: from a checkpoint, with Lambda's order, retries and bisection."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.store.aws import fast_calls
from infra.emulator.filters import wanted
from infra.functions import invocation
from infra.functions.lanes import Lanes, Record
from infra.local.resources import client
from infra.local.template import StreamSource
from infra.machine.state import read_json, write_json
from infra.machine.threads import FOLLOWING, show_thread_as

GATHER_SECONDS, SLOW_SECONDS = 0.02, 0.2
WAIT_SECONDS = 2.0
"""How long our emulator waits for a record that the function wants; others are asked again and again."""

RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 5.0
PAUSE_SECONDS = 0.5
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
        fast_calls.install(self._streams, {"GetRecords"}, binary=False)  # as Lambda hands them on
        self._sqs = client("sqs")
        kept = read_json(checkpoint) or {}
        self._lanes: dict[str, Lanes] = {}
        self._read: dict[str, int] = {}
        self._done: dict[str, str] = kept.get("shards", {}) if kept.get("stream") == source.stream else {}

    def thread(self) -> threading.Thread:
        """Return the thread that does the work."""
        return threading.Thread(target=self._run, name=self._source.function, daemon=True)

    def _run(self) -> None:
        show_thread_as(FOLLOWING)
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
        pause = GATHER_SECONDS
        while not self._stop.is_set() and all(iterators.values()):
            busy = waited = False
            for shard, iterator in iterators.items():
                answer = self._records(iterator)
                busy = busy or bool(answer["Records"])
                waited = waited or "LastSequenceNumber" in answer
                self._deal(shard, answer["Records"], answer.get("LastSequenceNumber"))
                iterators[shard] = answer.get("NextShardIterator")
            pause = GATHER_SECONDS if busy else min(pause * 1.5, SLOW_SECONDS)
            self._stop.wait(pause if busy or not waited else 0)

    def _records(self, iterator: str | None) -> Any:
        wish = {"Filters": self._source.filters, "WaitSeconds": WAIT_SECONDS}
        return self._streams.get_records(ShardIterator=iterator, Limit=PAGE, **wish)

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

    def _deal(self, shard: str, raw: list[Any], looked_at: str | None = None) -> None:
        """Deal out what is new of a page, which may have been looked at up to a later record."""
        last = self._read.get(shard, int(self._done.get(shard, "0")))
        reached = looked_at or (_sequence(raw[-1]) if raw else "0")
        if int(reached) <= last:
            return
        self._read[shard] = int(reached)
        fresh = [record for record in raw if int(_sequence(record)) > last]
        chosen = [record for record in fresh if wanted(record, self._source.filters)]
        records = [lambda_record(record, self._source.stream) for record in chosen]
        self.lanes(shard).put(records, reached)

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


def _sequence(record: Mapping[str, Any]) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def lambda_record(record: Mapping[str, Any], arn: str) -> Record:
    """Return a record of the streams API as a Lambda event shows it."""
    return {**record, "eventSource": "aws:dynamodb", "eventSourceARN": arn}
