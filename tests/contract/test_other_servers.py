"""IMAP keeps the promises of a Provider against servers that are nothing like Dovecot."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.providers.imap.adapter import ImapProvider, connect
from tests.contract.dovecot import HERE
from tests.contract.program import Program
from tests.contract.provider import ProviderContract
from tests.contract.uncounted import Uncounted
from tests.servers.mailbox import Mailbox, MailServer
from tests.servers.running import running

pytestmark = pytest.mark.server

_users = count()


def settings_of(mailbox: Mailbox) -> MailSettings:
    """Return how Postern reaches a mailbox."""
    server = Server(host=mailbox.host, port=mailbox.imap, username=mailbox.user, password=mailbox.password)
    return MailSettings(imap=server, smtp=server, tls_required=False)


@pytest.fixture
def mailbox(server: MailServer) -> Mailbox:
    return server.add_user(f"user{next(_users)}")


@pytest.fixture
def provider(mailbox: Mailbox) -> Iterator[ImapProvider]:
    opened = connect(settings_of(mailbox), HERE)
    yield opened
    opened.close()


@pytest.fixture
def other(mailbox: Mailbox) -> Iterator[Program]:
    with mailbox.login() as client:
        yield Program(client, mailbox.prefix)


class TestCyrus(ProviderContract):
    """QRESYNC, MOVE, UIDPLUS, and a hierarchy of its own."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[MailServer]:
        with running("cyrus") as server:
            yield server


class TestCourier(Uncounted):
    """No UNSELECT, no MOVE, no special use, UIDNEXT not told; every folder below the inbox."""

    SENT = "INBOX.Sent"
    TRASH = "INBOX.Trash"

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[MailServer]:
        with running("courier") as server:
            yield server


class TestPymap(Uncounted):
    """No UNSELECT, no special use; UIDs begin above a hundred."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[MailServer]:
        with running("pymap") as server:
            yield server


class TestHoodiecrow(Uncounted):
    """IMAP as somebody else read the RFC."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[MailServer]:
        with running("hoodiecrow") as server:
            yield server
