"""A large message is listed by its beginning; what it says comes behind, or at once when asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.trouble import FailureKind, after_failure
from chalicelib.domain.log.delta import Operation
from chalicelib.domain.mail.message import Message
from chalicelib.errors import Gone, ProviderError
from chalicelib.formats.mime.mime import parse
from chalicelib.sync.requests.content import Contents
from tests.fakes.mail import LARGE, mail
from tests.fakes.provider import MemoryProvider
from tests.worlds.sync import ACCOUNT, World

FILE = (
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nread this\r\n'
    '--b\r\nContent-Type: text/csv; name="tides.csv"\r\nContent-Disposition: attachment\r\n\r\n'
    "1,2,3\r\n--b--\r\n"
)


def with_file(number: int) -> bytes:
    """Return a mail of more than LARGE octets."""
    head = mail(f"m{number}", number).partition(b"\r\n\r\n")[0]
    return head + b"\r\n" + FILE.encode()


class Asked(MemoryProvider):
    """Counts what it is asked for by name."""

    fetched = 0

    def fetch(self, collection_id: str, id: Any) -> bytes:
        self.fetched += 1
        return super().fetch(collection_id, id)


@dataclass
class Half(World):
    """A world in which a sync has time for one batch of each folder: beginnings are listed."""

    server: Asked = field(default_factory=lambda: Asked(large=LARGE))

    def listed(self, *raws: bytes) -> list[Message]:
        """Deliver, and sync so far that every mail is listed."""
        for number, raw in enumerate(raws):
            self.server.deliver("INBOX", raw, at=number)
        self.sync(deadline=Deadline.after(-1))
        return sorted(self.mail.all_messages.values(), key=lambda message: message.date)

    def contents(self) -> Contents:
        return Contents(
            mail=self.mail, blobs=self.blobs, provider=lambda account: self.server, now=lambda: self.now
        )


@pytest.fixture
def world() -> Half:
    return Half()


def test_it_is_listed_with_all_its_headers_and_no_contents(world: Half) -> None:
    [message] = world.listed(with_file(1))
    assert (message.subject, message.message_id) == ("m1", "<1@harbour.example>")
    assert (message.files, message.raw, world.mail.all_bodies) == ((), None, {})
    assert message.size == len(with_file(1))


def test_the_contents_come_behind_as_a_change_of_the_same_message(world: Half) -> None:
    [listed] = world.listed(with_file(1))
    world.sync()
    world.check()
    [message] = world.mail.all_messages.values()
    assert message.id == listed.id and [file.filename for file in message.files] == ["tides.csv"]
    assert message.snippet == "read this"
    events = [change.event for change in world.mail.changes if change.kind == "message"]
    assert events == [Operation.CREATE, Operation.MODIFY]
    [thread] = world.mail.all_threads.values()
    assert thread.has_attachments and thread.snippet == "read this"


def test_whoever_asks_before_gets_all_of_it(world: Half) -> None:
    [listed] = world.listed(with_file(1))
    message = world.contents().whole(ACCOUNT, listed)
    assert [file.filename for file in message.files] == ["tides.csv"]
    assert "read this" in world.contents().body(ACCOUNT, message)
    assert world.server.fetched == 1, "the second question was answered from the store"
    world.sync()
    world.check()


def test_raw_mail_asked_for_early_brings_the_rest_with_it(world: Half) -> None:
    [listed] = world.listed(with_file(1))
    assert world.contents().raw(ACCOUNT, listed) == with_file(1)
    [message] = world.mail.all_messages.values()
    assert message.files and message.raw and world.mail.all_bodies


def test_a_list_gets_what_is_missing_over_one_connection(world: Half) -> None:
    listed = world.listed(mail("m0", 0), with_file(1), with_file(2))
    connections: list[Asked] = []

    def connect(account: Any) -> Asked:
        connections.append(world.server)
        return world.server

    shown = replace(world.contents(), provider=connect).wholes(ACCOUNT, listed)
    assert [len(message.files) for message in shown] == [0, 1, 1]
    assert (len(connections), world.server.fetched) == (1, 2)


def test_a_list_does_without_what_the_server_does_not_give(world: Half) -> None:
    [listed] = world.listed(with_file(1))

    def refuse(account: Any) -> Asked:
        raise ProviderError("no connection")

    contents = replace(world.contents(), provider=refuse)
    assert contents.wholes(ACCOUNT, [listed]) == [listed]
    with pytest.raises(ProviderError):
        contents.whole(ACCOUNT, listed)


def test_a_list_does_not_wait_for_a_server_in_trouble(world: Half) -> None:
    listed = world.listed(with_file(1))
    trouble = after_failure(None, FailureKind.SERVER, "timed out", 1_700_000_000, 0.5, 0)
    assert world.contents().wholes(replace(ACCOUNT, trouble=trouble), listed) == listed
    assert world.server.fetched == 0


def test_a_message_that_went_before_its_contents_came_is_gone(world: Half) -> None:
    [listed] = world.listed(with_file(1))
    world.server.boxes["INBOX"].messages.clear()
    assert world.contents().wholes(ACCOUNT, [listed]) == [listed]
    with pytest.raises(Gone):
        world.contents().whole(ACCOUNT, listed)


def test_a_list_fetches_no_more_than_a_client_can_wait_for(
    world: Half, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.sync.requests.content.MOST_AT_ONCE", len(with_file(1)) * 2)
    listed = world.listed(*map(with_file, range(4)))
    shown = world.contents().wholes(ACCOUNT, listed)
    assert [len(message.files) for message in shown] == [1, 1, 0, 0]


def test_a_move_before_the_contents_came_keeps_the_id(world: Half) -> None:
    [listed] = world.listed(with_file(1))
    [id] = world.server.boxes["INBOX"].messages
    world.server.move("INBOX", id, "Trash")
    world.sync()
    world.check()
    assert list(world.mail.all_messages) == [listed.id]


def test_what_is_here_as_a_whole_is_never_cut_back(world: Half) -> None:
    world.listed(with_file(1))
    world.sync()
    [before] = world.mail.all_messages.values()
    world.server.renumber("INBOX")
    world.sync()
    world.check()
    [after] = world.mail.all_messages.values()
    assert (after.id, after.files, after.raw) == (before.id, before.files, before.raw)


def test_a_server_that_lies_about_sizes_makes_no_doubles(world: Half) -> None:
    """Exchange, for one, counts octets that it never sends."""
    [listed] = world.listed(with_file(1))
    world.sync()
    box = world.server.boxes["INBOX"]
    [(id, message)] = box.messages.items()
    stored = world.mail.all_messages[listed.id]
    world.mail.all_messages[listed.id] = replace(stored, size=stored.size + 7)
    box.messages[id] = replace(message, size=len(message.raw) + 7)
    world.server.renumber("INBOX")
    world.server.large = 0  # now it comes as a whole
    world.sync()
    world.check()
    assert list(world.mail.all_messages) == [listed.id]


@pytest.mark.parametrize("code", ["ValidationException", "ThrottlingException"])
def test_a_list_shows_what_the_store_does_not_take_as_it_is(
    world: Half, code: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listed = world.listed(with_file(1), with_file(2))

    def refuse(account_id: str, changes: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "Item size"}}, "PutItem")

    monkeypatch.setattr(world.mail, "save", refuse)
    assert world.contents().wholes(ACCOUNT, listed) == listed
    assert world.server.fetched == (2 if code == "ValidationException" else 1), "a store in trouble may rest"
    assert "ClientError at" in caplog.text and "Item size" not in caplog.text


def test_a_list_shows_what_cannot_be_read_as_it_is(world: Half, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = world.listed(with_file(1), with_file(2))
    usual = parse

    def poisoned(raw: bytes) -> Any:
        if raw == with_file(1):
            raise RecursionError
        return usual(raw)

    monkeypatch.setattr("chalicelib.sync.requests.content.parse", poisoned)
    shown = world.contents().wholes(ACCOUNT, listed)
    assert shown[0] == listed[0] and shown[1].files
