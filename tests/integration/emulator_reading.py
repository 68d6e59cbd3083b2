"""Runs in the emulator's environment: a stream that is read by who knows what it wants.

.local/emulator-venv/bin/python -m tests.integration.emulator_reading
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ministack.services import dynamodb, dynamodb_streams

from infra.emulator import patches
from infra.emulator import streams as emulator_streams
from infra.emulator.streams import Streams

TABLE = "table"
WANTED = [{"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "good"}]}}}}]


class Reader:
    """Follows the stream of a table from its beginning."""

    def __init__(self) -> None:
        patches.apply(dynamodb, dynamodb_streams)
        self.streams = Streams(dynamodb, dynamodb_streams)
        dynamodb._create_table(
            {
                "TableName": TABLE,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
            }
        )
        stream = dynamodb._tables[TABLE]["LatestStreamArn"]
        place = {"StreamArn": stream, "ShardId": None, "ShardIteratorType": "TRIM_HORIZON"}
        self.start = _read(dynamodb_streams._get_shard_iterator(place))["ShardIterator"]
        self.iterator = self.start

    async def read(self, seconds: float = 0.0, **more: Any) -> Any:
        """Read on and return the answer."""
        wish = {"ShardIterator": self.iterator, "Filters": WANTED, "WaitSeconds": seconds, **more}
        answer = _read(await self.streams.read(json.dumps(wish).encode()))
        self.iterator = answer["NextShardIterator"]
        return answer

    async def names(self, seconds: float = 0.0) -> list[str]:
        """Read on and return the keys."""
        return _names(await self.read(seconds))

    async def what_is_wanted_comes_and_nothing_else(self) -> None:
        """Unwanted records are passed over, and counted as looked at."""
        put("good 1", "bad 1", "good 2", "bad 2")
        answer = await self.read()
        assert _names(answer) == ["good 1", "good 2"]
        last = dynamodb._stream_records[TABLE][-1]["dynamodb"]["SequenceNumber"]
        assert answer["LastSequenceNumber"] == last
        assert "eventSourceARN" not in answer["Records"][0] and answer["Records"][0]["eventName"] == "INSERT"
        put("bad 3")
        assert _names(answer := await self.read()) == [] and answer["LastSequenceNumber"] > last
        assert (await self.read())["LastSequenceNumber"] is None

    async def it_waits_for_what_is_wanted(self) -> None:
        """News that is not wanted does not end the wait."""
        reading = asyncio.create_task(self.names(30))
        for name in ("bad 4", "bad 5"):
            await asyncio.sleep(emulator_streams.GATHER_SECONDS * 3)
            put(name)
        await asyncio.sleep(emulator_streams.GATHER_SECONDS * 3)
        assert not reading.done()
        put("good 3")
        put("good 4")
        assert await reading == ["good 3", "good 4"]
        assert await self.names(0.05) == []

    async def pages_are_looked_through(self) -> None:
        """More than a page of unwanted records does not end the search."""
        put(*(f"bad {number}" for number in range(2_500)), "good 5")
        assert await self.names() == []  # no time for more than one page
        assert await self.names(30) == ["good 5"]

    async def what_is_trimmed_while_somebody_waits_is_passed_over(self) -> None:
        """Positions are counted from the beginning of the stream."""
        reading = asyncio.create_task(self.names(30))
        await asyncio.sleep(emulator_streams.GATHER_SECONDS)
        records = dynamodb._stream_records[TABLE]
        dynamodb._stream_trimmed[TABLE] = dynamodb._stream_trimmed.get(TABLE, 0) + len(records)
        records.clear()
        put("good 6")
        assert await reading == ["good 6"]

    async def others_are_served_as_ever(self) -> None:
        """Who does not say what it wants gets everything; what is wrong is refused."""
        put("poor 6", "good 7")
        plain = await self.streams.read(json.dumps({"ShardIterator": self.iterator}).encode())
        assert _names(_read(plain)) == ["poor 6", "good 7"]
        wrong = {"ShardIterator": "nonsense", "Filters": WANTED, "WaitSeconds": 1}
        assert (await self.streams.read(json.dumps(wrong).encode()))[0] == 400
        old = {"ShardIterator": self.start, "Filters": WANTED, "WaitSeconds": 1}
        refused = await self.streams.read(json.dumps(old).encode())
        assert refused[0] == 400 and b"Trimmed" in refused[2]


def put(*names: str) -> None:
    """Write items."""
    for name in names:
        assert dynamodb._put_item({"TableName": TABLE, "Item": {"pk": {"S": name}}})[0] == 200


def _read(answer: Any) -> Any:
    assert answer[0] == 200, answer
    return json.loads(answer[2])


def _names(answer: Any) -> list[str]:
    return [record["dynamodb"]["Keys"]["pk"]["S"] for record in answer["Records"]]


async def main() -> None:
    """Play all scenes."""
    reader = Reader()
    await reader.what_is_wanted_comes_and_nothing_else()
    await reader.it_waits_for_what_is_wanted()
    await reader.pages_are_looked_through()
    await reader.what_is_trimmed_while_somebody_waits_is_passed_over()
    await reader.others_are_served_as_ever()


if __name__ == "__main__":
    asyncio.run(main())
