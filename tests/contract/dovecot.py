"""A Dovecot, a mailbox on it, and another mail program at the same mailbox."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest

from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.providers.network.egress import EgressPolicy
from infra.demo import dovecot
from infra.demo.visitor import login
from tests.contract.program import Program

HERE = EgressPolicy(local=True)
_users = count()


@pytest.fixture(scope="module")
def server() -> Iterator[dovecot.Dovecot]:
    if not dovecot.installed():
        if os.environ.get("CI") == "true":
            pytest.fail("Dovecot is not installed")
        pytest.skip("Dovecot is not installed")
    running = dovecot.Dovecot().start()
    yield running
    running.stop()


@pytest.fixture
def settings(server: dovecot.Dovecot, monkeypatch: pytest.MonkeyPatch) -> MailSettings:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))
    imap = Server(
        host=server.host, port=server.imap, username=f"user{next(_users)}", password=dovecot.PASSWORD
    )
    return MailSettings(imap=imap, smtp=imap)


@pytest.fixture
def other(server: dovecot.Dovecot, settings: MailSettings) -> Iterator[Program]:
    with login(server, settings.imap.username) as client:
        yield Program(client)
