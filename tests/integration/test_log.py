"""The delta log over DynamoDB's transactions: moto's, and those of the fake that tells long stories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from chalicelib.config import Settings
from chalicelib.domain.log.delta import KINDS, Change, Operation
from chalicelib.errors import CursorTooOld
from chalicelib.store.aws.connection import client
from chalicelib.store.log.log import LogTable
from chalicelib.store.objects.stream import change_of
from tests.fakes.dynamo import MemoryDynamo
from tests.integration.aws import deployment

DAY = 86400
SETTINGS = Settings(table_prefix="t", bucket="b", key_id="k", pepper="p", queue_urls={})


Make = Callable[[list[float]], LogTable]


@pytest.fixture(params=["moto", "fake"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Yield a maker of logs whose clock is the number in a list."""
    with deployment() as settings:
        here = client(settings, "dynamodb") if request.param == "moto" else MemoryDynamo()
        yield lambda now: LogTable(here, settings, now=lambda: now[0], wait=lambda _: None)


@pytest.fixture
def log(make: Make) -> LogTable:
    return make([1000.0])


def change(id: str, event: Operation, rev: int) -> Change:
    attributes = (("thread_id", "t"), ("received_date", 7))
    return Change(account_id="a", kind="message", id=id, event=event, rev=rev, attributes=attributes)


def test_an_empty_log_has_nothing(log: LogTable) -> None:
    assert log.head("a") == (0, 0)
    assert log.since("a", 0, 10) == []


def test_entries_come_back_in_order_across_batches(log: LogTable) -> None:
    changes = [change(f"m{n}", Operation.CREATE, 1) for n in range(200)]
    log.append("a", changes, 1000)
    assert log.head("a")[0] == 200
    everything = log.since("a", 0, 500)
    assert [d.seq for d in everything] == list(range(1, 201))
    assert [d.change for d in everything] == changes
    assert [d.seq for d in log.since("a", 37, 20)] == list(range(38, 58))


def test_a_revision_is_logged_once(log: LogTable) -> None:
    log.append("a", [change("m", Operation.CREATE, 5)], 1000)
    log.append("a", [change("m", Operation.CREATE, 5), change("n", Operation.CREATE, 1)], 1000)
    assert log.head("a")[0] == 2
    assert [d.change.id for d in log.since("a", 0, 9)] == ["m", "n"]


def test_a_create_and_its_modify_are_one_create(log: LogTable) -> None:
    log.append("a", [change("m", Operation.CREATE, 1), change("m", Operation.MODIFY, 2)], 1000)
    assert [(d.change.event, d.change.rev) for d in log.since("a", 0, 9)] == [(Operation.CREATE, 2)]


def test_what_came_and_went_is_deleted_for_whoever_listed_it_in_between(log: LogTable) -> None:
    created, deleted = change("m", Operation.CREATE, 1), change("m", Operation.DELETE, 2)
    log.append("a", [created, deleted], 1000)
    assert log.head("a")[0] == 1
    log.append("a", [created], 1000)
    assert log.head("a")[0] == 1
    assert [d.change.event for d in log.since("a", 0, 9)] == [Operation.DELETE]


def test_what_was_heard_of_is_deleted_for_all(log: LogTable) -> None:
    created, deleted = change("m", Operation.CREATE, 1), change("m", Operation.DELETE, 2)
    log.append("a", [created], 1000)
    log.append("a", [created, deleted], 1000)
    assert [d.change.event for d in log.since("a", 0, 9)] == [Operation.CREATE, Operation.DELETE]


def test_a_cursor_older_than_the_log_is_refused(make: Make) -> None:
    now = [1000.0]
    log = make(now)
    log.append("a", [change("m", Operation.CREATE, 1)], 1000)
    log.append("a", [change("n", Operation.CREATE, 1)], 1000 + 10 * DAY)
    now[0] += 14 * DAY + 1
    with pytest.raises(CursorTooOld):
        log.since("a", 0, 9)
    assert [d.seq for d in log.since("a", 1, 9)] == [2]
    assert log.since("a", 2, 9) == []


def test_a_cursor_the_log_never_gave_is_refused(log: LogTable) -> None:
    log.append("a", [change("m", Operation.CREATE, 1)], 1000)
    with pytest.raises(CursorTooOld):
        log.since("a", 2, 9)


def test_a_glance_and_a_list_of_accounts_say_what_the_counter_says(log: LogTable) -> None:
    log.append("a", [change("m", Operation.CREATE, 1)], 1000)
    log.append("b", [replace(change("m", Operation.CREATE, 1), account_id="b")] * 1, 1001)
    assert (log.peek("a"), log.peek("none")) == (1, 0)
    assert log.places(["a", "b", "none"]) == {"a": (1, 1000), "b": (1, 1001)}


def test_the_place_before_a_second_is_exact(make: Make) -> None:
    log = make([2000.0])
    times: list[int] = []
    for second in (1000, 1001, 1001, 1003, 1010, 1010):
        size = 1 + second % 3
        log.append(
            "a", [change(f"m{second}-{len(times)}-{n}", Operation.CREATE, 1) for n in range(size)], second
        )
        times += [second] * size
    for moment in range(998, 1012):
        seq, at = log.before("a", moment)
        assert seq == sum(time <= moment for time in times)
        assert at == max((time for time in times if time <= moment), default=0)
        assert all(delta.at > moment for delta in log.since("a", seq, 100))


def test_a_second_the_log_does_not_reach_back_to_is_refused(make: Make) -> None:
    now = [1000.0]
    log = make(now)
    log.append("a", [change("m", Operation.CREATE, 1)], 1000)
    log.append("a", [change("n", Operation.CREATE, 1)], 1000 + 10 * DAY)
    now[0] += 14 * DAY + 1
    with pytest.raises(CursorTooOld):
        log.before("a", 999)
    assert log.before("a", 1000) == (1, 1000)
    assert log.before("a", 1000 + 11 * DAY) == (2, 1000 + 10 * DAY)


def test_the_head_of_an_object_is_what_was_logged_last(log: LogTable) -> None:
    later = replace(change("m", Operation.MODIFY, 7), expires_at=9_999)
    log.append("a", [change("m", Operation.CREATE, 1), change("n", Operation.CREATE, 2)], 1000)
    log.append("a", [later], 1001)
    assert log.heads("a", [later.name, ("message", "none")]) == {later.name: later}
    heads, place = log.heads_after("a", "")
    assert [head.id for head in heads] == ["m", "n"]
    assert log.heads_after("a", place) == ([], "")


@pytest.mark.parametrize("kind", sorted(KINDS - {"account"}))
@pytest.mark.parametrize("event", list(Operation))
def test_every_kind_of_object_goes_from_the_stream_into_the_log(kind: str, event: Operation) -> None:
    texts = {"kind": kind, "acct": "a", "id": "x", "t": "thread"}
    row = {name: {"S": text} for name, text in texts.items()} | {"rev": {"N": "5"}, "d": {"N": "7"}}
    older = row | {"rev": {"N": "4"}, "su": {"S": "before"}}
    images = {
        Operation.CREATE: {"NewImage": row},
        Operation.MODIFY: {"OldImage": older, "NewImage": row},
        Operation.DELETE: {"OldImage": older},
    }
    heard = change_of({"eventName": "any", "dynamodb": images[event]})
    assert heard and (heard.kind, heard.id, heard.event, heard.rev) == (kind, "x", event, 5)
    log = LogTable(MemoryDynamo(), SETTINGS, now=lambda: 1000.0)
    log.append("a", [heard, heard], 1000)
    assert log.head("a")[0] == 1
    assert [delta.change for delta in log.since("a", 0, 9)] == [heard]


def test_mail_that_leaves_by_itself_is_no_delta() -> None:
    old = {"kind": {"S": "message"}, "acct": {"S": "a"}, "id": {"S": "x"}, "rev": {"N": "1"}}
    by_itself = {"principalId": "dynamodb.amazonaws.com", "type": "Service"}
    assert change_of({"dynamodb": {"OldImage": old}, "userIdentity": by_itself}) is None


def test_an_account_is_heard_of_only_when_its_state_changes() -> None:
    def image(state: str, rev: int) -> dict[str, dict[str, str]]:
        texts = {"kind": "account", "id": "a", "application_id": "p", "state": state}
        return {name: {"S": value} for name, value in texts.items()} | {"rev": {"N": str(rev)}}

    assert change_of({"dynamodb": {"OldImage": image("running", 1), "NewImage": image("running", 2)}}) is None
    heard = change_of({"dynamodb": {"OldImage": image("running", 1), "NewImage": image("stopped", 2)}})
    assert heard and heard.event is Operation.MODIFY and dict(heard.attributes)["sync_state"] == "stopped"
