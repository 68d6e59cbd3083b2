"""A compressed connection (RFC 4978) keeps the promises of a Provider, and is asked for where it pays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.remote import Flags
from chalicelib.providers.imap.adapter import ImapProvider, connect
from chalicelib.providers.imap.protocol.compress import is_far
from chalicelib.providers.imap.protocol.session import Session, open_session
from infra.bench.link import Link
from infra.demo.dovecot import Dovecot
from tests.contract.dovecot import other, settings
from tests.contract.provider import Copy, ProviderContract, mail
from tests.worlds.mailroom import DEFLATE, HERE, dovecot, settings_of

pytestmark = pytest.mark.server
__all__ = ["other", "settings"]


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(DEFLATE) as running:
        yield running


def compressed(settings: MailSettings) -> Session:
    session = open_session(settings, reach=HERE, compress=lambda address: True)
    assert session.wire.run(b"NOOP").ok
    assert session.wire.compressed, "the server does not compress"
    return session


class TestCompressed(ProviderContract):
    @pytest.fixture
    def provider(self, settings: MailSettings) -> Iterator[ImapProvider]:
        opened = ImapProvider(compressed(settings))
        yield opened
        opened.close()


def octets(server: Dovecot, link: Link, compress: bool) -> int:
    """Return how much a first sync brings through the wire."""
    before = link.octets
    session = open_session(
        settings_of(server, "size@kestrel.example", link.port), reach=HERE, compress=lambda address: compress
    )
    assert len(Copy(ImapProvider(session)).catch_up().raw) == 40
    session.close()
    return link.octets - before


def test_compression_saves_most_of_the_octets_of_text(server: Dovecot) -> None:
    with Link(server.imap) as link:
        provider = ImapProvider(open_session(settings_of(server, "size@kestrel.example"), reach=HERE))
        for number in range(40):
            provider.append("INBOX", mail(number, "the tide comes in at noon\r\n" * 100), Flags(""))
        provider.close()
        assert octets(server, link, compress=True) * 5 < octets(server, link, compress=False)


def test_a_server_on_this_machine_is_not_asked_to_compress(settings: MailSettings) -> None:
    opened = connect(settings, HERE)
    assert opened.collections()
    assert not opened._session.wire.compressed
    opened.close()


@pytest.mark.parametrize(
    ("address", "far"), [("127.0.0.1", False), ("::1", False), ("192.0.2.7", True), ("fe80::1%eth0", True)]
)
def test_far_is_what_is_not_on_this_machine(address: str, far: bool) -> None:
    assert is_far(address) is far


def test_a_connection_to_be_handed_over_is_never_compressed(settings: MailSettings) -> None:
    session = open_session(settings, reach=HERE)
    connection, ahead = session.hand_over()
    assert ahead == b"" and not session.wire.compressed
    connection.close()
