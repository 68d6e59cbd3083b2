"""Live syncs that take long, in a table; and the groups of messages."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from chalicelib.config import Settings
from chalicelib.domain.jobs import SyncAccount
from chalicelib.store.aws.connection import client
from chalicelib.store.aws.queues import SqsQueues
from chalicelib.store.values import Place
from chalicelib.store.work.places import PlaceTable
from tests.integration.aws import deployment

NOW = 1_700_000_000


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as settings:
        yield settings


def test_places_come_back_as_they_were_and_go(settings: Settings) -> None:
    places = PlaceTable(client(settings, "dynamodb"), settings)
    made = [
        Place(account_id=f"a{n}", application="application#app", server="s", since=NOW + 0.25, until=NOW + n)
        for n in range(3)
    ]
    for one in made:
        places.put(one)
    assert places.all() == made
    places.remove("a1")
    places.remove("a1")
    assert places.all() == [made[0], made[2]]


def test_whoever_was_crowded_is_so_until_a_time(settings: Settings) -> None:
    places = PlaceTable(client(settings, "dynamodb"), settings)
    places.note_slow("server#s", NOW)
    assert places.slow(["application#a", "server#s"], NOW - 1)
    assert not places.slow(["application#a", "server#s"], NOW)
    assert not places.slow(["application#s", "server#a"], NOW - 1)


def test_each_message_may_have_a_group_of_its_own(settings: Settings) -> None:
    queues = SqsQueues(settings)
    queues.send([SyncAccount(account_id=str(n)) for n in range(12)], [f"app{n % 3}" for n in range(12)])
    sqs, groups = boto3.client("sqs", region_name=settings.region), []
    for _ in range(2):
        answer = sqs.receive_message(
            QueueUrl=settings.queue_urls["sync"], MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        groups += [(one["Body"], one["Attributes"]["MessageGroupId"]) for one in answer["Messages"]]
    assert sorted(groups) == sorted((f'{{"account_id":"{n}"}}', f"app{n % 3}") for n in range(12))
