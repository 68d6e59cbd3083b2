"""The way to a logged-in connection: what is asked when, and what is believed."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme

from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.errors import AuthRejected
from chalicelib.providers.imap.protocol.session import Session, open_session
from chalicelib.providers.network.egress import EgressPolicy
from tests.fakes.imap_server import FakeImap


@pytest.fixture
def server() -> Iterator[FakeImap]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    fake, loop = FakeImap(context), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(fake.start(), loop).result()
    yield fake
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def log_in(server: FakeImap) -> Session:
    place = Server(host="localhost", port=server.port, username="me", password="secret")
    settings = MailSettings(imap=place, smtp=place, tls_required=False, tls_verified=False)
    return open_session(settings, reach=EgressPolicy(local=True))


def test_after_starttls_the_login_brings_what_the_server_can_do(server: FakeImap) -> None:
    server.capabilities = "IMAP4rev1 CONDSTORE"
    assert log_in(server).can("CONDSTORE")
    assert server.commands[:4] == ["CAPABILITY", "STARTTLS", "CAPABILITY", "LOGIN"]


def test_a_server_without_login_is_asked_in_the_other_way(server: FakeImap) -> None:
    server.capabilities = "IMAP4rev1 LOGINDISABLED AUTH=PLAIN"
    server.answers["LOGIN"] = b"TAG NO not this way\r\n"
    log_in(server).close()
    assert "AUTHENTICATE" in server.commands


def test_a_refused_login_is_not_tried_in_another_way(server: FakeImap) -> None:
    server.capabilities = "IMAP4rev1 AUTH=PLAIN"
    server.answers["LOGIN"] = b"TAG NO [AUTHENTICATIONFAILED] no\r\n"
    with pytest.raises(AuthRejected):
        log_in(server)
    assert server.commands.count("LOGIN") == 1 and "AUTHENTICATE" not in server.commands
