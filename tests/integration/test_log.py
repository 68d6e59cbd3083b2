"""The delta log over DynamoDB's own transactions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.domain.delta import Change, Event
from chalicelib.errors import CursorTooOld
from chalicelib.store.connection import client
from chalicelib.store.tables.log import LogTable
from chalicelib.store.tables.stream import change_of
from tests.integration.aws import deployment

DAY = 86400


@pytest.fixture
def log() -> Iterator[LogTable]:
    with deployment() as settings:
        yield LogTable(client(settings, "dynamodb"), settings, now=lambda: 1000.0, wait=lambda _: None)


def change(id: str, event: Event, rev: int) -> Change:
    attributes = (("thread_id", "t"), ("received_date", 7))
    return Change(account_id="a", kind="message", id=id, event=event, rev=rev, attributes=attributes)


def test_an_empty_log_has_nothing(log: LogTable) -> None:
    assert log.head("a") == (0, 0)
    assert log.since("a", 0, 10) == []


def test_entries_come_back_in_order_across_batches(log: LogTable) -> None:
    changes = [change(f"m{n}", Event.CREATE, 1) for n in range(200)]
    assert log.append("a", changes, 1000) == 200
    everything = log.since("a", 0, 500)
    assert [d.seq for d in everything] == list(range(1, 201))
    assert [d.change for d in everything] == changes
    assert [d.seq for d in log.since("a", 37, 20)] == list(range(38, 58))


def test_a_revision_is_logged_once(log: LogTable) -> None:
    log.append("a", [change("m", Event.CREATE, 5)], 1000)
    assert log.append("a", [change("m", Event.CREATE, 5), change("n", Event.CREATE, 1)], 1000) == 2
    assert [d.change.id for d in log.since("a", 0, 9)] == ["m", "n"]


def test_a_create_and_its_modify_are_one_create(log: LogTable) -> None:
    log.append("a", [change("m", Event.CREATE, 1), change("m", Event.MODIFY, 2)], 1000)
    assert [(d.change.event, d.change.rev) for d in log.since("a", 0, 9)] == [(Event.CREATE, 2)]


def test_what_was_deleted_before_anyone_heard_is_left_out_for_good(log: LogTable) -> None:
    created, deleted = change("m", Event.CREATE, 1), change("m", Event.DELETE, 2)
    assert log.append("a", [created, deleted], 1000) == 0
    assert log.append("a", [created], 1000) == 0


def test_what_was_heard_of_is_deleted_for_all(log: LogTable) -> None:
    created, deleted = change("m", Event.CREATE, 1), change("m", Event.DELETE, 2)
    log.append("a", [created], 1000)
    log.append("a", [created, deleted], 1000)
    assert [d.change.event for d in log.since("a", 0, 9)] == [Event.CREATE, Event.DELETE]


def test_a_cursor_older_than_the_log_is_refused() -> None:
    with deployment() as settings:
        now = [1000.0]
        log = LogTable(client(settings, "dynamodb"), settings, now=lambda: now[0])
        log.append("a", [change("m", Event.CREATE, 1)], 1000)
        log.append("a", [change("n", Event.CREATE, 1)], 1000 + 10 * DAY)
        now[0] += 14 * DAY + 1
        with pytest.raises(CursorTooOld):
            log.since("a", 0, 9)
        assert [d.seq for d in log.since("a", 1, 9)] == [2]
        assert log.since("a", 2, 9) == []


def test_an_account_is_heard_of_only_when_its_state_changes() -> None:
    def image(state: str, rev: int) -> dict[str, dict[str, str]]:
        texts = {"kind": "account", "id": "a", "application_id": "p", "state": state}
        return {name: {"S": value} for name, value in texts.items()} | {"rev": {"N": str(rev)}}

    assert change_of({"dynamodb": {"OldImage": image("running", 1), "NewImage": image("running", 2)}}) is None
    heard = change_of({"dynamodb": {"OldImage": image("running", 1), "NewImage": image("stopped", 2)}})
    assert heard and heard.event is Event.MODIFY and dict(heard.attributes)["sync_state"] == "stopped"
