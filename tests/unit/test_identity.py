"""Who a mail is: namesakes that differ are two, copies are one, however much of them is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chalicelib.domain.remote import RemoteId
from chalicelib.formats.mime.fingerprint import agree, fingerprint
from tests.fakes.provider import MemoryProvider
from tests.worlds.sync import ACCOUNT, World

MONDAY = "Mon, 2 Mar 2026 10:00:00 +0000"


def letter(subject: str = "Alarm", text: str = "door 1 open", date: str = MONDAY, more: str = "") -> bytes:
    head = f"From: device@x.example\r\nTo: mira@kestrel.example\r\nSubject: {subject}\r\nDate: {date}\r\n"
    return f"{head}Message-ID: <same@x.example>\r\n{more}\r\n{text}\r\n".encode()


PAIRS = {
    "subject and text": (letter("Alarm 1", "door 1 open"), letter("Alarm 2", "door 2 shut")),
    "text": (letter(text="door 1 open"), letter(text="door 2 shut")),
    "the end of a long text": (letter(text="x" * 5_000 + "1"), letter(text="x" * 5_000 + "2")),
    "subject": (letter("Alarm 1"), letter("Alarm 2")),
    "date": (letter(), letter(date=MONDAY.replace("10:00", "11:00"))),
    "sender": (letter(), letter().replace(b"device@", b"gadget@")),
    "a header": (letter(more="X-Number: 1\r\n"), letter(more="X-Number: 2\r\n")),
    "an octet": (letter(text="1\x001"), letter(text="1\x011")),
}


@pytest.fixture(params=[True, False], ids=["counted", "uncounted"])
def world(request: pytest.FixtureRequest) -> World:
    return World(server=MemoryProvider(request.param))


def bodies(world: World) -> set[str]:
    return {world.mail.all_bodies[id] for id in world.mail.all_messages}


@pytest.mark.parametrize("folders", [("INBOX", "INBOX"), ("INBOX", "Trash"), ("Trash", "INBOX")])
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("together", [True, False])
def test_mails_that_differ_are_two_whatever_they_share(
    world: World, pair: tuple[bytes, bytes], folders: tuple[str, str], together: bool
) -> None:
    assert len(pair[0]) == len(pair[1])
    for folder, raw in zip(folders, pair, strict=True):
        world.server.deliver(folder, raw)
        if not together:
            world.sync()
    world.sync()
    world.check()
    assert len(world.mail.all_messages) == 2
    world.now += 1
    assert world.sync().value == "quiet"


def test_what_is_left_of_two_namesakes_is_the_right_one(world: World) -> None:
    first, second = PAIRS["text"]
    id = world.server.deliver("INBOX", first)
    world.server.deliver("INBOX", second)
    world.sync()
    world.server.expunge("INBOX", id)
    world.sync()
    world.check()
    [body] = bodies(world)
    assert "door 2" in body


def change_folder(world: World, id: RemoteId) -> None:
    world.server.move("INBOX", id, "Trash")


def renumber(world: World, id: RemoteId) -> None:
    world.server.renumber("INBOX")


def copy(world: World, id: RemoteId) -> None:
    world.server.deliver("Trash", world.server.boxes["INBOX"].messages[id].raw, at=7)


def age(world: World, id: RemoteId) -> None:
    """As if an older version had stored it."""
    [(key, message)] = world.mail.all_messages.items()
    world.mail.all_messages[key] = replace(message, fingerprint="")
    world.server.renumber("INBOX")


@pytest.mark.parametrize("act", [change_folder, renumber, copy, age])
@pytest.mark.parametrize("large", [0, 150], ids=["whole", "by its beginning"])
@pytest.mark.parametrize("counts", [True, False])
def test_a_mail_that_is_moved_copied_or_counted_anew_keeps_its_id(
    act: Callable[[World, RemoteId], None], large: int, counts: bool
) -> None:
    world = World(server=MemoryProvider(counts, large))
    id = world.server.deliver("INBOX", letter(text="a text of some length"))
    world.sync()
    [before] = world.mail.all_messages
    act(world, id)
    world.sync()
    world.check()
    assert list(world.mail.all_messages) == [before]


def test_of_a_large_mail_the_beginning_is_known_again_when_the_rest_comes() -> None:
    world = World(server=MemoryProvider(large=150))
    world.server.deliver("INBOX", letter(text="1" * 200))
    world.server.deliver("INBOX", letter("Other", text="2" * 200))
    world.sync()
    world.check()
    assert len(world.mail.all_messages) == 2
    assert all(
        m.fingerprint.count(".") and m.fingerprint[-1] != "." for m in world.mail.all_messages.values()
    )


OLD_PAIRS = [
    PAIRS["subject and text"],
    (letter("Alarm 1", ""), letter("Alarm 2", "")),
    (letter("", "a"), letter("", "b")),
]


@pytest.mark.parametrize(("first", "second"), OLD_PAIRS)
def test_a_namesake_of_a_mail_that_an_older_version_stored_is_another(first: bytes, second: bytes) -> None:
    world = World()
    id = world.server.deliver("INBOX", first)
    world.sync()
    [(key, message)] = world.mail.all_messages.items()
    world.mail.all_messages[key] = replace(message, fingerprint="")
    world.server.deliver("INBOX", second)
    world.sync()
    world.check()
    assert len(world.mail.all_messages) == 2 and key in world.mail.all_messages
    world.server.expunge("INBOX", id)
    world.sync()
    world.check()
    assert key not in world.mail.all_messages


def test_a_mail_under_a_name_that_another_bore_is_another() -> None:
    """As on a server that was restored from a backup and gives names out again."""
    world = World(server=MemoryProvider(counts=False))
    first, second = PAIRS["text"]
    id = world.server.deliver("INBOX", first)
    world.sync()
    [before] = world.mail.all_messages
    box = world.server.boxes["INBOX"]
    box.messages[id] = replace(box.messages[id], raw=second)
    world.checkpoints.saved.clear()
    world.sync()
    world.check()
    assert list(world.mail.all_messages) != [before] and "door 2" in bodies(world).pop()


def test_a_sent_mail_is_not_taken_for_a_namesake_with_another_subject(world: World) -> None:
    from chalicelib.sync.mail.sent import record_sent

    world.sync()
    sent = next(one for one in world.mail.all_folders.values() if one.role == "sent")
    record_sent(world.mail, world.blobs, ACCOUNT, letter("Ours"), sent, 1_600_000_000)
    world.server.deliver("INBOX", letter("Theirs"))
    world.sync()
    assert sorted(m.subject for m in world.mail.all_messages.values()) == ["Ours", "Theirs"]
    world.server.deliver("Sent", letter("Ours", more="X-Filed: by the server\r\n"))
    world.sync()
    world.check()
    assert len(world.mail.all_messages) == 2


class TestFingerprint:
    """Head and text of a mail."""

    def test_a_beginning_agrees_with_the_whole_by_its_head_and_leaves_the_rest_open(self) -> None:
        whole, part = fingerprint(letter(), whole=True), fingerprint(letter()[:100], whole=False)
        assert agree(fingerprint(letter(), whole=False), whole) is None
        assert agree(whole, whole) is True and agree(part, whole) is False

    @pytest.mark.parametrize(
        "line", ["Status: RO", "X-Status: A", "X-UID: 7", "X-Keywords: a\r\n b", "X-Mozilla-Status: 0001"]
    )
    def test_what_programs_note_in_the_head_does_not_count(self, line: str) -> None:
        assert fingerprint(letter(more=line + "\r\n"), whole=True) == fingerprint(letter(), whole=True)

    @pytest.mark.parametrize("raw", [b"", b"\r\n", b"no head", b"\n\n", b"A: b\n", b"\0" * 9])
    def test_everything_has_one(self, raw: bytes) -> None:
        assert agree(fingerprint(raw, whole=True), fingerprint(raw, whole=True))
