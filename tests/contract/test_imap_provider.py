"""IMAP keeps the promises of a Provider, against a real Dovecot: with every extension and with none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.remote import BatchLimits, Flags, RemoteId
from chalicelib.errors import AuthRejected, ProviderError
from chalicelib.providers.imap.adapter import ImapProvider, connect
from chalicelib.providers.imap.protocol.session import open_session
from chalicelib.providers.network import opening
from infra.demo import dovecot
from infra.machine import ports
from tests.contract.dovecot import HERE
from tests.contract.dovecot import other as other  # a fixture
from tests.contract.dovecot import server as server  # a fixture
from tests.contract.dovecot import settings as settings  # a fixture
from tests.contract.program import Program
from tests.contract.provider import LONG, Copy, ProviderContract, mail
from tests.contract.uncounted import Uncounted

pytestmark = pytest.mark.server

_BASIC = frozenset({"IMAP4REV1", "STARTTLS", "LITERAL+"})


@pytest.fixture
def provider(settings: MailSettings) -> Iterator[ImapProvider]:
    opened = connect(settings, HERE)
    yield opened
    opened.close()


class TestWithEveryExtension(ProviderContract):
    def test_the_server_names_what_is_gone(self, provider: ImapProvider, other: Program) -> None:
        """With QRESYNC nobody has to read what we hold."""
        copy = Copy(provider).catch_up()
        ids = [other.deliver("INBOX", mail(n)) for n in range(5)]
        copy.catch_up()
        for id in ids[1:3]:
            other.expunge("INBOX", id)
        new = other.deliver("INBOX", mail(9))
        batch = provider.changes(copy.collection(), copy.cursor, _nobody_asks, BatchLimits())
        assert batch.removed == set(ids[1:3]) and [m.id for m in batch.arrived] == [new]


class TestWithCondstoreOnly(ProviderContract):
    """Flags are counted, but nobody names what is gone."""

    @pytest.fixture
    def provider(self, settings: MailSettings) -> Iterator[ImapProvider]:
        session = open_session(settings, reach=HERE)
        session.capabilities -= {"QRESYNC"}
        opened = ImapProvider(session)
        yield opened
        opened.close()


def _nobody_asks() -> dict[RemoteId, Flags]:
    raise AssertionError("what we hold was read")


class TestWithoutExtensions(Uncounted):
    """The server offers CONDSTORE, MOVE, UIDPLUS, LIST-STATUS and the like, but we may use none."""

    @pytest.fixture
    def provider(self, settings: MailSettings) -> Iterator[ImapProvider]:
        session = open_session(settings, reach=HERE)
        session.capabilities = _BASIC
        opened = ImapProvider(session)
        yield opened
        opened.close()


@pytest.mark.parametrize(
    "head", ["From: a@x.example\r\n", f"From: a@x.example\r\nX: {'x' * 70_000}\r\nMessage-ID: <1@x>\r\n"]
)
def test_a_beginning_that_does_not_tell_who_it_is_comes_as_a_whole(
    provider: ImapProvider, other: Program, head: str
) -> None:
    raw = f"{head}\r\n{LONG}\r\n".encode()
    other.deliver("INBOX", raw)
    copy = Copy(provider)
    [message] = copy.step().arrived
    assert message.whole and message.raw == raw


def test_contents_do_not_wait_for_the_end_of_a_long_listing(
    provider: ImapProvider, other: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.providers.imap.folders.cursor._LEAD", 3)
    ids = [other.deliver("INBOX", mail(n, LONG if n == 8 else "")) for n in range(9)]
    copy = Copy(provider, budget=BatchLimits(messages=2)).catch_up()
    assert copy.order == [*ids[:4:-1], ids[8], *ids[4::-1]]


def test_odd_folder_names_keep_their_raw_name(provider: ImapProvider, other: Program) -> None:
    for name in ('Ta"x\\es [1]', "Entwürfe & Co", "日本語/Kind"):
        other.client.create_folder(name)
    for collection in provider.collections():
        provider.append(collection.id, mail(1), Flags("s"))
        assert len(Copy(provider, folder=collection.id).catch_up().order) == 1
    names = {collection.name for collection in provider.collections()}
    assert {'Ta"x\\es [1]', "Entwürfe & Co", "日本語/Kind"} <= names


def test_a_wrong_password_is_told_apart(settings: MailSettings) -> None:
    wrong = replace(settings, imap=replace(settings.imap, password="wrong"))
    with pytest.raises(AuthRejected) as caught:
        connect(wrong, HERE)
    assert caught.value.details["step"] == "login"


def test_a_password_may_hold_any_character(settings: MailSettings) -> None:
    with pytest.raises(AuthRejected):
        connect(replace(settings, imap=replace(settings.imap, password='pä"ss\\wörd')), HERE)


def test_an_untrusted_certificate_is_refused(settings: MailSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ProviderError) as caught:
        connect(settings, HERE)
    assert caught.value.details["step"] == "tls"


def test_an_untrusted_certificate_is_refused_also_where_tls_is_not_required(
    settings: MailSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ProviderError, match="certificate is not trusted") as caught:
        connect(replace(settings, tls_required=False), HERE)
    assert caught.value.details["step"] == "tls"


@pytest.mark.parametrize("required", [True, False])
def test_an_untrusted_certificate_is_taken_where_that_is_asked_for(
    settings: MailSettings, required: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    connect(replace(settings, tls_required=required, tls_verified=False), HERE).close()


def test_an_authority_of_the_operators_is_trusted_beside_those_of_the_system(
    settings: MailSettings, server: dovecot.Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    connect(settings, replace(HERE, ca_file=str(server.ca_file))).close()
    with pytest.raises(ProviderError, match="POSTERN_MAIL_CA_FILE"):
        connect(settings, replace(HERE, ca_file="/no/such/file.pem"))


def test_tls_from_the_start_is_found_out_on_any_port(
    settings: MailSettings, server: dovecot.Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "GREETING_SECONDS", 0.3)
    for _ in range(2):  # found out, then known
        opened = connect(replace(settings, imap=replace(settings.imap, port=server.imaps)), HERE)
        assert opened.collections()
        opened.close()


@pytest.mark.parametrize(("host", "step"), [("no-such-host.invalid", "dns"), ("127.0.0.1", "tcp")])
def test_a_server_out_of_reach_names_the_step(settings: MailSettings, host: str, step: str) -> None:
    away = replace(settings.imap, host=host, port=ports.any_free())
    with pytest.raises(ProviderError) as caught:
        connect(replace(settings, imap=away), HERE)
    assert caught.value.details["step"] == step
