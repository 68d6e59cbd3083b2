"""Run one batch of a queue or a stream so that only what failed comes back."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, TypeVar

from chalicelib import logs, memory
from chalicelib.domain.jobs import Queue, load

J = TypeVar("J")
T = TypeVar("T")
LambdaEvent = Mapping[str, Any]
Record = Mapping[str, Any]

DELIVERIES = 5
"""How often a queue delivers a message before it is dead (maxReceiveCount of infra/resources.yaml)."""

log = logging.getLogger(__name__)


class BatchFailures(TypedDict):
    """Lambda's partial batch response."""

    batchItemFailures: list[dict[str, str]]


def each_record(
    event: LambdaEvent,
    queue: Queue[J],
    handle: Callable[[J, int], None],
    give_up: Callable[[J], None] | None = None,
) -> BatchFailures:
    """Hand over each job of a queue and how often it was delivered; the messages that failed are named.

    A job that fails for the last time, before the queue puts it among the dead letters, is handed
    to `give_up`.
    """
    failed = []
    for record in event["Records"]:
        try:
            handle(_job(queue, record), _received(record))
        except Exception as error:  # the edge: one bad message must not stop the rest
            log.error("message %s failed: %s", record["messageId"], logs.summary(error))
            failed.append(record["messageId"])
            if give_up and _is_last(record):
                _last_words(give_up, queue, record)
    memory.settle()
    return _failures(failed)


def _job(queue: Queue[J], record: Record) -> J:
    return load(queue, json.loads(record["body"]))


def _received(record: Record) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))


def _is_last(record: Record) -> bool:
    return _received(record) >= DELIVERIES


def _last_words(give_up: Callable[[J], None], queue: Queue[J], record: Record) -> None:
    try:
        give_up(_job(queue, record))
    except Exception as error:  # the edge: the message goes among the dead letters all the same
        log.error("message %s could not be given up: %s", record["messageId"], logs.summary(error))


def each_group(
    event: LambdaEvent,
    parse: Callable[[Record], tuple[str, T] | None],
    handle: Callable[[str, list[T]], None],
) -> BatchFailures:
    """Hand over the stream records of each account, in order; the earliest failure is named.

    Lambda repeats a stream from the record that is named, so records after it come twice: every
    handler bears that. The other accounts of the batch are handled all the same.
    """
    groups, failed = _grouped(event["Records"], parse)
    for key, (first, items) in groups.items():
        try:
            handle(key, items)
        except Exception as error:  # the edge: one account must not stop the others
            log.error("stream records of %s failed: %s", key, logs.summary(error))
            failed.append(first)
    if not failed:
        return _failures([])
    return _failures([event["Records"][min(failed)]["dynamodb"]["SequenceNumber"]])


def _grouped(
    records: list[Record], parse: Callable[[Record], tuple[str, T] | None]
) -> tuple[dict[str, tuple[int, list[T]]], list[int]]:
    """Sort records by key up to the first that cannot be read; positions are those in the batch."""
    groups: dict[str, tuple[int, list[T]]] = {}
    for position, record in enumerate(records):
        try:
            parsed = parse(record)
        except Exception as error:  # the edge: what came before it is still good
            number = record["dynamodb"]["SequenceNumber"]
            log.error("stream record %s cannot be read: %s", number, logs.summary(error))
            return groups, [position]
        if parsed:
            groups.setdefault(parsed[0], (position, []))[1].append(parsed[1])
    return groups, []


def _failures(ids: list[str]) -> BatchFailures:
    return {"batchItemFailures": [{"itemIdentifier": id} for id in ids]}
