"""Thin batching over the low-level DynamoDB client; every table has string keys pk and sk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from itertools import chain, repeat
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from chalicelib.store.errors import Cancelled, Overloaded
from chalicelib.store.values import Stale

Item = dict[str, Any]
Key = tuple[str, str]
In = TypeVar("In")
Out = TypeVar("Out")

THREADS = 12
GET_SIZE, WRITE_SIZE = 100, 25
ATTEMPTS = 9
AFTER_ALL = "~"
"""Sorts behind every character of our keys."""


def parallel(work: Callable[[In], Out], parts: Iterable[In]) -> list[Out]:
    """Return the results in order; all parts are finished before the first error is raised.

    What no thread of the process's pool has begun, the caller does itself: calls may be nested.
    """
    todo = list(parts)
    futures = [_pool().submit(work, part) for part in todo[1:]]
    settled = [_now(work, part) for part in todo[:1]]
    for future, part in zip(futures, todo[1:], strict=True):
        settled.append(_now(work, part) if future.cancel() else future)
    wait(settled)
    return [future.result() for future in settled]


def _now(work: Callable[[In], Out], part: In) -> Future[Out]:
    future: Future[Out] = Future()
    try:
        future.set_result(work(part))
    except Exception as error:  # the caller's, once the other parts are finished
        future.set_exception(error)
    return future


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "store")


def pause(attempt: int) -> None:
    """Sleep a random while that doubles its bound with each attempt, up to two seconds."""
    time.sleep(random.uniform(0, min(2.0, 0.02 * 2**attempt)))  # noqa: S311 - jitter, not a secret


def transact(client: Any, actions: Sequence[Item]) -> None:
    """Write all or nothing (at most 100 actions); raises Cancelled."""
    try:
        client.transact_write_items(TransactItems=list(actions))
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        reasons = error.response["CancellationReasons"]
        raise Cancelled([reason.get("Code") or "None" for reason in reasons]) from error


def transact_patiently(client: Any, actions: Sequence[Item]) -> None:
    """Like `transact`, but waits while other requests are in the way."""
    for attempt in range(ATTEMPTS):
        try:
            return transact(client, actions)
        except Cancelled as cancelled:
            if not cancelled.conflict:
                raise
        pause(attempt)
    raise Overloaded("a transaction met conflicts only")


def key(pk: str, sk: str) -> Item:
    """Return a key as the client wants it."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


class Table:
    """One table and the few operations we need of it."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name

    def get(self, pk: str, sk: str, consistent: bool = True) -> Item | None:
        """Return a row, strongly consistent unless told otherwise."""
        answer = self.client.get_item(TableName=self.name, Key=key(pk, sk), ConsistentRead=consistent)
        row: Item | None = answer.get("Item")
        return row

    def get_many(self, keys: Iterable[Key], consistent: bool = True) -> list[Item]:
        """Return the rows that exist, in no order."""
        unique = list(dict.fromkeys(keys))
        chunks = [unique[i : i + GET_SIZE] for i in range(0, len(unique), GET_SIZE)]
        found = parallel(lambda chunk: self._get_chunk(chunk, consistent), chunks)
        return [row for rows in found for row in rows]

    def pages(
        self,
        pk: str,
        low: str | None = None,
        high: str = AFTER_ALL,
        *,
        newest: bool = False,
        limits: Iterable[int] = (),
    ) -> Iterator[list[Item]]:
        """Yield pages of a partition, low <= sk <= high, strongly consistent; the last limit repeats."""
        request = self._query(pk, low, high, newest)
        sizes = _endless(limits)
        while True:
            size = next(sizes)
            answer = self.client.query(**request, **({"Limit": size} if size else {}))
            yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def put_if(
        self, item: Item, condition: str, values: Item | None = None, names: Item | None = None
    ) -> None:
        """Write a row if the condition holds for the stored one; raises Stale."""
        request: Item = {"TableName": self.name, "Item": item, "ConditionExpression": condition}
        if values:
            request["ExpressionAttributeValues"] = values
        if names:
            request["ExpressionAttributeNames"] = names
        try:
            self.client.put_item(**request)
        except self.client.exceptions.ConditionalCheckFailedException as error:
            raise Stale(item["pk"]["S"]) from error

    def delete_if(self, pk: str, sk: str, rev: int) -> None:
        """Delete a row of this revision; raises Stale."""
        try:
            self.client.delete_item(
                TableName=self.name,
                Key=key(pk, sk),
                ConditionExpression="rev = :r",
                ExpressionAttributeValues={":r": {"N": str(rev)}},
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            raise Stale(pk) from error

    def write_many(self, puts: Iterable[Item] = (), deletes: Iterable[Key] = ()) -> None:
        """Put and delete without conditions, in no order; a key put twice keeps the later row."""
        requests = {(pk, sk): {"DeleteRequest": {"Key": key(pk, sk)}} for pk, sk in deletes}
        requests.update({(row["pk"]["S"], row["sk"]["S"]): {"PutRequest": {"Item": row}} for row in puts})
        todo = list(requests.values())
        parallel(self._write_chunk, [todo[i : i + WRITE_SIZE] for i in range(0, len(todo), WRITE_SIZE)])

    def _query(self, pk: str, low: str | None, high: str, newest: bool) -> Item:
        request: Item = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": {":p": {"S": pk}},
            "ConsistentRead": True,
            "ScanIndexForward": not newest,
        }
        if low is not None:
            request["KeyConditionExpression"] = "pk = :p AND sk BETWEEN :l AND :h"
            request["ExpressionAttributeValues"] |= {":l": {"S": low}, ":h": {"S": high}}
        return request

    def _get_chunk(self, keys: Sequence[Key], consistent: bool) -> list[Item]:
        wanted: list[Item] = [key(pk, sk) for pk, sk in keys]
        rows: list[Item] = []
        for attempt in range(ATTEMPTS):
            request = {self.name: {"Keys": wanted, "ConsistentRead": consistent}}
            answer = self.client.batch_get_item(RequestItems=request)
            rows += answer["Responses"].get(self.name, [])
            wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if not wanted:
                return rows
            pause(attempt)
        raise Overloaded(f"{len(wanted)} rows of {self.name} were not read")

    def _write_chunk(self, requests: Sequence[Item]) -> None:
        left = list(requests)
        for attempt in range(ATTEMPTS):
            answer = self.client.batch_write_item(RequestItems={self.name: left})
            left = answer.get("UnprocessedItems", {}).get(self.name, [])
            if not left:
                return
            pause(attempt)
        raise Overloaded(f"{len(left)} rows of {self.name} were not written")


def _endless(limits: Iterable[int]) -> Iterator[int]:
    sizes = list(limits) or [0]
    return chain(sizes, repeat(sizes[-1]))
