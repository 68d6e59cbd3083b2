"""Sync repairs itself against a real Dovecot: files it cannot read, folders emptied, renamed and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.log.delta import Operation
from chalicelib.domain.sync.quarantine import Cause, QuarantineState
from chalicelib.formats.mime import mime
from chalicelib.providers.imap.adapter import connect
from chalicelib.sync.core.stores import Safety, SyncStores
from chalicelib.sync.engine.run import Outcome, sync_account
from chalicelib.sync.mail import ingest
from chalicelib.sync.safety import retry
from chalicelib.sync.safety.comparison import Findings, repair
from infra.demo.dovecot import Dovecot
from tests.contract.dovecot import HERE
from tests.contract.dovecot import other as other  # a fixture
from tests.contract.dovecot import server as server  # a fixture
from tests.contract.dovecot import settings as settings  # a fixture
from tests.contract.program import Program
from tests.fakes.mail import mail
from tests.worlds.sync import World

pytestmark = pytest.mark.server
WAIT, DAY = 600, 86_400


@dataclass
class Mailbox:
    """A user's mailbox on the server, the store behind it, and a new connection for each stay."""

    settings: MailSettings
    world: World = field(default_factory=lambda: World(safety=Safety(seconds=WAIT)))

    def sync(self) -> Outcome:
        return sync_account(self._work(), self.world.accounts.account, Deadline.after(60))

    def repair(self) -> Findings:
        found = repair(self._work(), self.world.accounts.account, Deadline.after(60))
        assert found
        return found

    def retry(self, id: str) -> bool:
        return retry.retry(self._work(), self.world.accounts.account, id)

    def subjects(self) -> list[str]:
        return sorted(message.subject for message in self.world.mail.all_messages.values())

    def _work(self) -> SyncStores:
        return replace(self.world.workspace(), provider=lambda account: connect(self.settings, HERE))


@pytest.fixture
def mailbox(settings: MailSettings) -> Iterator[Mailbox]:
    yield Mailbox(settings)


def fill(other: Program, folder: str, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        other.deliver(folder, mail(f"m{number:03d}", number), at=1_600_000_000 + number)


def lock(server: Dovecot, user: str, subject: str) -> None:
    """Take the right to read one message's file away from the server: it hangs up when asked for it."""
    for path in (server.base / "mail" / user / "Maildir").rglob("*"):
        if path.is_file() and f"Subject: {subject}".encode() in path.read_bytes():
            path.chmod(0)
            return
    raise LookupError(subject)


def unlock(server: Dovecot, user: str) -> None:
    for path in (server.base / "mail" / user / "Maildir").rglob("*"):
        if path.is_file() and not path.stat().st_mode & 0o777:
            path.chmod(0o600)


def test_a_file_the_server_cannot_read_is_set_aside_and_comes_later(
    server: Dovecot, settings: MailSettings, mailbox: Mailbox, other: Program
) -> None:
    fill(other, "INBOX", 30)
    lock(server, settings.imap.username, "m012")
    mailbox.sync()
    assert len(mailbox.subjects()) == 29 and "m012" not in mailbox.subjects()
    [entry] = mailbox.world.quarantine.entries("a")
    assert (entry.cause, entry.state) == (Cause.WITHHELD, QuarantineState.HELD)
    assert mailbox.sync() is Outcome.QUIET
    mailbox.retry(entry.id)
    assert [one.attempts for one in mailbox.world.quarantine.entries("a")] == [4]
    unlock(server, settings.imap.username)
    mailbox.world.now += 2 * DAY
    assert mailbox.repair().missing == 1
    assert mailbox.world.quarantine.entries("a") == [] and len(mailbox.subjects()) == 30


def test_poison_is_set_aside_tried_on_request_and_forgotten_when_expunged(
    mailbox: Mailbox, other: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(other, "INBOX", 20)
    bad = other.deliver("INBOX", mail("poison", 999))
    fill(other, "INBOX", 5, start=20)
    parse = mime.parse

    def fails(raw: bytes) -> object:
        if b"Subject: poison" in raw:
            raise RecursionError
        return parse(raw)

    monkeypatch.setattr(ingest, "parse", fails)
    mailbox.sync()
    assert len(mailbox.subjects()) == 25
    [entry] = mailbox.world.quarantine.entries("a")
    assert (entry.remote_id, entry.cause, entry.attempts) == (bad, Cause.POISON, 3)
    mailbox.retry(entry.id)
    assert [one.attempts for one in mailbox.world.quarantine.entries("a")] == [4]
    other.expunge("INBOX", bad)
    mailbox.retry(entry.id)
    assert mailbox.world.quarantine.entries("a") == []


@pytest.fixture
def projects(mailbox: Mailbox, other: Program) -> Mailbox:
    """A mailbox with 40 messages in a folder of its own and 5 in the inbox."""
    other.client.create_folder("Projects")
    fill(other, "Projects", 40)
    fill(other, "INBOX", 5, start=100)
    mailbox.sync()
    assert len(mailbox.subjects()) == 45
    mailbox.world.mail.changes.clear()
    return mailbox


def events(mailbox: Mailbox) -> set[Operation]:
    return {change.event for change in mailbox.world.mail.changes if change.kind == "message"}


def test_an_emptied_folder_is_emptied_here_after_a_second_look(projects: Mailbox, other: Program) -> None:
    other.client.select_folder("Projects")
    other.client.delete_messages("1:38", silent=True)
    other.client.expunge()
    projects.sync()
    assert len(projects.subjects()) == 45
    [mark] = projects.world.accounts.account.frozen
    assert (mark.name, mark.count, mark.held, mark.vanished) == ("Projects", 38, 40, False)
    fill(other, "Projects", 1, start=200)
    projects.sync()
    assert len(projects.subjects()) == 46, "live mail waited, too"
    writes = projects.world.fuse.count
    assert projects.sync() is Outcome.QUIET and projects.world.fuse.count == writes
    projects.world.now += WAIT
    projects.sync()
    assert len(projects.subjects()) == 8 and projects.world.accounts.account.frozen == ()


def test_a_deleted_folder_goes_here_after_a_second_look(projects: Mailbox, other: Program) -> None:
    other.client.delete_folder("Projects")
    projects.sync()
    assert len(projects.subjects()) == 45
    assert [mark.vanished for mark in projects.world.accounts.account.frozen] == [True]
    projects.world.now += WAIT
    projects.sync()
    assert len(projects.subjects()) == 5
    assert "Projects" not in {folder.collection for folder in projects.world.mail.all_folders.values()}


def test_a_renamed_folder_is_a_move(projects: Mailbox, other: Program) -> None:
    other.client.rename_folder("Projects", "Finished")
    projects.sync()
    assert events(projects) == {Operation.MODIFY}
    assert projects.world.accounts.account.frozen == () and len(projects.subjects()) == 45


def test_mail_moved_as_a_whole_is_a_move(projects: Mailbox, other: Program) -> None:
    other.client.select_folder("Projects")
    other.client.move("1:*", "Archive")
    projects.sync()
    assert events(projects) == {Operation.MODIFY} and projects.world.accounts.account.frozen == ()


def test_a_new_uidvalidity_removes_nothing(projects: Mailbox, other: Program) -> None:
    other.renumber("Projects")
    projects.sync()
    assert projects.world.accounts.account.frozen == () and len(projects.subjects()) == 45
    assert Operation.DELETE not in events(projects)


def test_a_folder_replaced_by_an_empty_one_of_the_same_name_waits(projects: Mailbox, other: Program) -> None:
    other.client.delete_folder("Projects")
    other.client.create_folder("Projects")
    projects.sync()
    assert len(projects.subjects()) == 45
    assert [mark.count for mark in projects.world.accounts.account.frozen] == [40]
