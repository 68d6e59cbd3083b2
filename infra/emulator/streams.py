"""Reads the emulator's streams for those who know what they want, and waits until there is something.

To a GetRecords that names `Filters` (Lambda's event patterns) and `WaitSeconds` the answer comes when a
record matches, or after that time; `LastSequenceNumber` tells how far it has looked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import orjson

from infra.emulator.filters import wanted

PAGE = 1_000
GATHER_SECONDS = 0.01
"""After news has come: what comes with it is read with it."""

Json = Mapping[str, Any]


class Streams:
    """Stands before the emulator's streams; it must be made before anything is written."""

    def __init__(self, dynamodb: ModuleType, streams: ModuleType) -> None:
        self._dynamodb, self._streams = dynamodb, streams
        self._news: set[asyncio.Future[None]] = set()
        dynamodb.__dict__["_emit_stream_event"] = self._told(dynamodb._emit_stream_event)

    def _told(self, emit: Callable[..., None]) -> Callable[..., None]:
        def told(*arguments: Any, **options: Any) -> None:
            emit(*arguments, **options)
            while self._news:
                _settle(self._news.pop())

        return told

    async def read(self, body: bytes) -> Any:
        """Return status, headers and body of the answer to a GetRecords."""
        data: Json = orjson.loads(body)
        if "WaitSeconds" not in data:
            return self._streams._get_records(data)
        checked = self._streams._get_records({**data, "Limit": 1})  # refuses what must be refused
        if checked[0] != 200:
            return checked
        return await self._wanted(data, self._streams._decode_iterator(data["ShardIterator"]))

    async def _wanted(self, data: Json, place: Json) -> Any:
        loop = asyncio.get_running_loop()
        end = loop.time() + data["WaitSeconds"]
        position, last = int(place["p"]), None
        scope = {"account_id": place["a"], "region": place["r"]}
        while True:
            position = max(position, self._dynamodb.stream_start_position(place["t"], **scope))
            page = self._dynamodb.stream_records_since(place["t"], position, PAGE, **scope)
            position += len(page)
            last = page[-1]["dynamodb"]["SequenceNumber"] if page else last
            chosen = [record for record in page if wanted(record, data["Filters"])]
            if chosen or loop.time() >= end:
                return self._answer(place, position, chosen, last)
            if len(page) < PAGE:
                await self._wait(end - loop.time())
            else:
                await asyncio.sleep(0)

    async def _wait(self, seconds: float) -> None:
        """Return when a record has come, or after that time."""
        loop = asyncio.get_running_loop()
        news = loop.create_future()
        self._news.add(news)
        timer = loop.call_later(seconds, _settle, news)
        try:
            await news
        finally:
            timer.cancel()
            self._news.discard(news)
        await asyncio.sleep(GATHER_SECONDS)

    def _answer(self, place: Json, position: int, chosen: list[Json], last: str | None) -> Any:
        scope = {"account_id": place["a"], "region": place["r"], "stream_arn": place["arn"]}
        return self._streams.json_response(
            {
                "Records": [_without(record, "eventSourceARN") for record in chosen],
                "NextShardIterator": self._streams._encode_iterator(
                    place["t"], place["s"], position, **scope
                ),
                "LastSequenceNumber": last,
            }
        )


def _settle(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)


def _without(record: Json, name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}
