"""Copies in Sent: filed once, missed when they go, and told of when the server does not take them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.mail.filing import Filing, Stage, filing_key
from chalicelib.domain.remote import Flags
from chalicelib.domain.sync.quarantine import TRIES, Cause, QuarantineState
from chalicelib.errors import AuthRejected, NotTaken, ProviderError
from chalicelib.sending.send import Sending
from chalicelib.sending.unfiled import Unfiled
from chalicelib.sync.mail.loose import LOOSE
from chalicelib.sync.mail.sent import forget_sent, name_sent, record_sent
from chalicelib.sync.requests import edits
from chalicelib.sync.safety.comparison import repair
from tests.contract.provider import mail as small
from tests.fakes.mail import mail
from tests.fakes.odd_server import OddMailbox
from tests.fakes.provider import MemoryProvider
from tests.fakes.scripted_server import Say
from tests.fakes.services import MemoryQueues
from tests.worlds.sync import ACCOUNT, World

RAW = mail("sent", 77)


class Stubborn(MemoryProvider):
    """Takes no copy over a connection that has done something else; `never` takes none at all."""

    def __init__(self, *, never: bool = False) -> None:
        super().__init__()
        self.never = never
        self.fresh = True
        self.tried: list[bool] = []

    def connect(self) -> Stubborn:
        self.fresh = True
        return self

    def find(self, collection_id: str, message_id: str) -> Any:
        self.fresh = False
        return super().find(collection_id, message_id)

    def append(self, collection_id: str, raw: bytes, flags: Any) -> None:
        self.tried.append(self.fresh)
        if self.never or not self.fresh:
            raise NotTaken("The mail server answered: NO Current box is selected READ-ONLY")
        super().append(collection_id, raw, flags)


def desk(world: World, server: Any) -> Sending:
    return Sending(
        mail=world.mail,
        remember=lambda raw, at: None,
        record=partial(record_sent, world.mail, world.blobs, ACCOUNT),
        name=partial(name_sent, world.mail, world.blobs, ACCOUNT),
        forget=partial(forget_sent, world.mail, world.blobs, ACCOUNT),
        filing=lambda raw: world.filings.get("a", filing_key(raw)) or Filing(),
        note=lambda raw, filing: world.filings.put("a", filing_key(raw), filing),
        unfiled=Unfiled(quarantine=world.quarantine, account_id="a", now=lambda: world.now),
        transport=lambda: server,
        provider=lambda: server.connect() if isinstance(server, Stubborn) else server,
    )


def compare(world: World) -> None:
    repair(world.workspace(), world.accounts.account, Deadline.after(60))


def subjects(world: World) -> list[str]:
    return sorted(message.subject for message in world.mail.all_messages.values())


def test_a_copy_that_is_refused_is_offered_once_more_on_a_connection_of_its_own() -> None:
    world = World(server=Stubborn())
    world.sync()
    desk(world, world.server).finish(ACCOUNT, RAW, 100)
    assert world.server.tried == [False, True]  # type: ignore[attr-defined]
    assert len(world.server.boxes["Sent"].messages) == 1 and not world.quarantine.rows


def test_a_copy_that_is_never_taken_is_told_after_a_few_attempts_and_taken_back_when_it_is() -> None:
    server = Stubborn(never=True)
    world = World(server=server)
    world.sync()
    for number in range(1, TRIES + 1):
        with pytest.raises(NotTaken):
            desk(world, server).finish(ACCOUNT, RAW, 100)
        [entry] = world.quarantine.entries("a")
        assert (entry.cause, entry.attempts) == (Cause.FILING, number)
        assert (entry.state is QuarantineState.HELD) == (number == TRIES)
    assert "READ-ONLY" in entry.reason and entry.remote_id == filing_key(RAW)
    assert subjects(world) == ["sent"], "a sent mail was lost"
    server.never = False
    desk(world, server).finish(ACCOUNT, RAW, 100)
    assert not world.quarantine.rows and len(server.boxes["Sent"].messages) == 1


def test_a_refused_login_is_the_accounts_trouble_and_not_the_mails() -> None:
    world = World()
    world.sync()

    def refused() -> Any:
        raise AuthRejected("no")

    some = desk(world, world.server)
    with pytest.raises(AuthRejected):
        Sending(**{**{n: getattr(some, n) for n in some.__slots__}, "provider": refused}).finish(
            ACCOUNT, RAW, 1
        )
    assert not world.quarantine.rows


def test_the_comparison_leaves_a_sent_mail_that_was_never_filed_where_it_is() -> None:
    server = Stubborn(never=True)
    world = World(server=server)
    world.sync()
    for _ in range(TRIES):
        with pytest.raises(ProviderError):
            desk(world, server).finish(ACCOUNT, RAW, 100)
    world.now += 8 * 86_400
    compare(world)
    assert subjects(world) == ["sent"] and len(world.quarantine.rows) == 1


def test_the_comparison_misses_a_sent_copy_that_sync_never_saw() -> None:
    world = World()
    world.sync()
    folders = {folder.collection: folder for folder in world.mail.all_folders.values()}
    record_sent(world.mail, world.blobs, ACCOUNT, RAW, folders["Sent"], at=100)
    world.filings.put("a", filing_key(RAW), Filing(Stage.FILED))
    compare(world)
    assert subjects(world) == [], "filed, and gone before anybody looked"
    assert not [key for key in world.mail.all_locations if key[0] == LOOSE]


def moved(world: World, target: str) -> None:
    """Move the first message of the inbox by the API, as far as the store."""
    folders = {folder.collection: folder for folder in world.mail.all_folders.values()}
    edits.update(
        world.mail, MemoryQueues(), "a", list(world.mail.all_messages.values())[:1],
        edits.Wanted(folder=folders[target]),
    )  # fmt: skip


def test_the_comparison_misses_a_message_deleted_before_our_move_of_it_was_made() -> None:
    world = World()
    id = world.server.deliver("INBOX", mail("one", 1), at=1)
    world.sync()
    moved(world, "Trash")
    world.server.expunge("INBOX", id)
    world.sync()
    assert subjects(world) == ["one"]
    world.now += 3_601
    compare(world)
    world.check()
    assert subjects(world) == []


def test_the_comparison_leaves_a_move_alone_that_is_under_way() -> None:
    world = World()
    world.server.deliver("INBOX", mail("one", 1), at=1)
    world.sync()
    world.mail.rev = int(world.now) * 1000
    moved(world, "Trash")
    compare(world)
    assert subjects(world) == ["one"]


def test_a_loose_copy_found_by_sync_is_loose_no_longer() -> None:
    world = World()
    id = world.server.deliver("INBOX", mail("one", 1), at=1)
    world.sync()
    moved(world, "Trash")
    assert [key for key in world.mail.all_locations if key[0] == LOOSE]
    world.server.move("INBOX", id, "Trash")
    world.sync()
    world.check()
    assert not [key for key in world.mail.all_locations if key[0] == LOOSE]


def test_a_folder_that_goes_takes_its_loose_copies_along() -> None:
    world = World()
    world.server.boxes["Old"] = type(world.server.boxes["INBOX"])()
    world.server.deliver("INBOX", mail("one", 1), at=1)
    world.sync()
    moved(world, "Old")
    del world.server.boxes["Old"]
    world.server.boxes["INBOX"].messages.clear()
    world.server.boxes["INBOX"].changes += 1
    world.sync()
    world.now += 3_601
    compare(world)
    assert subjects(world) == []


def test_the_job_comes_twice_and_nothing_happens_the_second_time() -> None:
    world = World()
    world.sync()
    for _ in range(3):
        desk(world, world.server).finish(ACCOUNT, RAW, 100)
        world.sync()
    world.check()
    [message] = world.mail.all_messages.values()
    assert len(message.places) == 1 and world.server.boxes["Sent"].uidnext == 2


@pytest.mark.parametrize("offers", [(), ("UNSELECT",)])
def test_no_mailbox_is_open_when_a_message_is_given_to_the_server(offers: tuple[str, ...]) -> None:
    box = OddMailbox()
    box.put(1, small(1))
    with box.serve(*offers) as provider:
        provider.find("INBOX", "<9@x.example>")
        provider.append("INBOX", small(9), Flags("s"))
    asked = [command.split()[0] for command in box.commands]
    assert asked[asked.index(b"APPEND") - 1] in (b"CLOSE", b"UNSELECT")


def refusing(line: bytes, say: Say) -> None:
    say(b"TAG NO Current box is selected READ-ONLY\r\n" if b"APPEND" in line else b"TAG OK\r\n")


def hanging_up(line: bytes, say: Say) -> None:
    if b"APPEND" in line:
        say(b"* BYE too much\r\n")
        raise OSError


@pytest.mark.parametrize(("script", "kind"), [(refusing, NotTaken), (hanging_up, ProviderError)])
def test_a_refusal_is_told_from_a_lost_connection(script: Any, kind: type[ProviderError]) -> None:
    box = OddMailbox()
    box.answer = script  # type: ignore[method-assign]
    with box.serve() as provider, pytest.raises(ProviderError) as caught:
        provider.append("INBOX", RAW, Flags(""))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("happens", "lost"), [("nothing", False), ("comes", False), ("goes", True), ("renumbered", True)]
)
def test_what_came_and_went_since_is_known_by_its_uid(happens: str, lost: bool) -> None:
    box = OddMailbox()
    box.put(1, small(1))
    with box.serve() as provider:
        end = provider.end("INBOX")
        if happens in ("comes", "goes"):
            box.put(2, small(2))
        if happens == "goes":
            del box.messages[2]
        box.uidvalidity += happens == "renumbered"
        assert provider.lost_since("INBOX", end) is lost
