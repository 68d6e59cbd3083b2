"""The way to a mail server: one deadline, bounds, TLS as the server wants it, and none of its words."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from chalicelib import bounds
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.errors import ApiError, ProviderError, SendFailed
from chalicelib.providers.imap.adapter import ImapProvider
from chalicelib.providers.imap.protocol.session import open_session
from chalicelib.providers.network import opening
from chalicelib.providers.network.egress import EgressPolicy
from chalicelib.providers.smtp import SmtpTransport
from tests.fakes.scripted_server import Say, scripted

HERE = EgressPolicy(local=True)
BANNER = "words-of-the-server"
Talk = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "GREETING_SECONDS", 0.2)
    monkeypatch.setattr(bounds, "OPENING_SECONDS", 1.5)
    monkeypatch.setattr(opening, "_begin_with_tls", set())


@contextmanager
def serving(talk: Talk) -> Iterator[int]:
    """Have each connection talked to; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def converse(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            talk(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=converse, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def settings(port: int, *, required: bool = False, verified: bool = True) -> MailSettings:
    server = Server(host="localhost", port=port, username="u", password="p")
    return MailSettings(imap=server, smtp=server, tls_required=required, tls_verified=verified)


def open_imap(made: MailSettings, reach: EgressPolicy = HERE) -> None:
    open_session(made, reach=reach).close()


def open_smtp(made: MailSettings, reach: EgressPolicy = HERE) -> None:
    SmtpTransport(made, reach).verify()


BOTH = pytest.mark.parametrize("enter", [open_imap, open_smtp], ids=["imap", "smtp"])


def refused(enter: Callable[[MailSettings], None], port: int) -> ApiError:
    with pytest.raises((ProviderError, SendFailed)) as caught:
        enter(settings(port))
    step = caught.value.details["step"]
    assert caught.value.message.startswith(f"localhost:{port}, step {step}: ")
    return caught.value


def drip(connection: socket.socket, first: bytes = b"", piece: bytes = b"*") -> None:
    connection.sendall(first)
    for _ in range(1_000):
        time.sleep(0.05)
        connection.sendall(piece)


def drip_behind_greeting(connection: socket.socket) -> None:
    drip(connection, b"* OK [CAPABILITY IMAP4rev1] hi\r\n")


def drip_lines(connection: socket.socket) -> None:
    drip(connection, b"* OK [CAPABILITY IMAP4rev1] hi\r\n", b"* 1 EXISTS\r\n")


def drip_replies(connection: socket.socket) -> None:
    drip(connection, b"220 hi\r\n", b"250-X\r\n")


def drip_tls(connection: socket.socket) -> None:
    """A handshake that begins well: the head of a long record, then an octet at a time."""
    connection.recv(10)
    drip(connection, b"\x16\x03\x03\x3f\xff", b"\0")


def silent(connection: socket.socket) -> None:
    connection.recv(1)
    time.sleep(30)


@pytest.mark.parametrize(
    ("enter", "talk"),
    [
        *((open_imap, talk) for talk in (drip, drip_behind_greeting, drip_lines, drip_tls, silent)),
        *((open_smtp, talk) for talk in (drip, drip_replies, drip_tls, silent)),
    ],
)
def test_no_server_takes_longer_than_the_deadline_however_busily_it_drips(
    enter: Callable[[MailSettings], None], talk: Talk
) -> None:
    with serving(talk) as port:
        assert "time" in refused(enter, port).message


LOGIN_ANSWERS = [
    b"* X {150000000}\r\n" + b"x" * 200_000,
    b"* X {64001}\r\n",
    b"* X " + b"y" * 200_000,
    b"* 1 EXISTS\r\n" * 20_000,
    b"TAG OK " + b"z" * 200_000 + b"\r\n",
    b"* CAPABILITY " + b"C " * 100_000 + b"\r\nTAG OK done\r\n",
]


@pytest.mark.parametrize("answer", LOGIN_ANSWERS, ids=lambda answer: answer[:12].decode())
def test_what_a_server_says_during_the_login_has_a_bound(answer: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"* OK [CAPABILITY IMAP4rev1] hi\r\n")
        tag = connection.recv(1_000).split()[0]
        connection.sendall(answer.replace(b"TAG", tag) * 2)
        connection.recv(1)

    with serving(talk) as port:
        assert "time" not in refused(open_imap, port).message


def test_the_bound_counts_everything_before_the_login_together_and_nothing_behind() -> None:
    def script(command: bytes, say: Say) -> None:
        say(b"* X " + b"y" * 300_000 + b"\r\nTAG OK done\r\n")

    with scripted(script) as port:
        session = open_session(settings(port), reach=HERE)
        assert len(session.wire.run(b"NOOP").lines[0].text) > 300_000

    def chatty(command: bytes, say: Say) -> None:
        say(b"TAG OK done\r\n")

    lines = b"* OK hello\r\n" + b"* OK more\r\n" * 8_000
    with scripted(chatty, lines) as port:
        refused(open_imap, port)


def test_a_server_that_drips_behind_the_login_holds_nobody_who_connects_an_account() -> None:
    def script(command: bytes, say: Say) -> None:
        for _ in range(1_000):
            time.sleep(0.05)
            say(b"*")

    with scripted(script) as port, pytest.raises(ProviderError):
        ImapProvider(open_session(settings(port), reach=HERE.within(1))).collections()


SAYING = {
    "another protocol": f"220 {BANNER} ESMTP\r\n",
    "goodbye": f"* BYE {BANNER}\r\n",
    "too many": f"* BYE too many connections {BANNER}\r\n",
    "preauth": f"* PREAUTH {BANNER}\r\n",
    "smtp says no": f"554 {BANNER}\r\n",
    "smtp is busy": f"421 4.7.0 {BANNER}\r\n",
    "nonsense": f"{BANNER}\r\n{BANNER}\r\n",
    "web": f"HTTP/1.1 400 {BANNER}\r\n\r\n",
    "ssh": f"SSH-2.0-{BANNER}\r\n",
}


@BOTH
@pytest.mark.parametrize("said", SAYING.values(), ids=SAYING)
def test_no_word_of_a_server_is_repeated_before_a_login_has_worked(
    enter: Callable[[MailSettings], None], said: str
) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(said.encode())
        for line in connection.makefile("rb"):
            connection.sendall(line.split()[0] + f" NO {BANNER}\r\n".encode())

    if enter is open_smtp and said.startswith("220"):
        said = f"554 {BANNER}\r\n"
    with serving(talk) as port:
        error = refused(enter, port)
    assert BANNER not in str(error.body())


@pytest.mark.parametrize("no", ["NO [AUTHENTICATIONFAILED]", "NO", "BAD", "NO [UNAVAILABLE]", "NO too many"])
def test_a_refused_login_is_told_without_the_servers_words(no: str) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"* OK [CAPABILITY IMAP4rev1] hi\r\n")
        for line in connection.makefile("rb"):
            connection.sendall(line.split()[0] + f" {no} {BANNER}\r\n".encode())

    with serving(talk) as port:
        error = refused(open_imap, port)
    assert error.details["step"] == "login" and BANNER not in str(error.body())


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def secured(authority: trustme.CA, talk: Talk) -> Talk:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return lambda connection: talk(context.wrap_socket(connection, server_side=True))


def imap(connection: socket.socket) -> None:
    connection.sendall(b"* OK [CAPABILITY IMAP4rev1] hi\r\n")
    for line in connection.makefile("rb"):
        connection.sendall(line.partition(b" ")[0] + b" OK [CAPABILITY IMAP4rev1] in\r\n")


def smtp(connection: socket.socket) -> None:
    connection.sendall(b"220 hi\r\n")
    for line in connection.makefile("rb"):
        said = b"250-localhost\r\n250 AUTH PLAIN\r\n" if line.startswith(b"EHLO") else b"235 in\r\n"
        connection.sendall(b"221 bye\r\n" if line.startswith(b"QUIT") else said)


PROTOCOLS = pytest.mark.parametrize(
    ("enter", "talk"), [(open_imap, imap), (open_smtp, smtp)], ids=["imap", "smtp"]
)


@PROTOCOLS
def test_tls_from_the_start_is_found_out_on_any_port_and_then_known(
    authority: trustme.CA, enter: Callable[[MailSettings], None], talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(secured(authority, talk)) as port:
        enter(settings(port, required=True))
        monkeypatch.setattr(opening, "GREETING_SECONDS", 60)
        enter(settings(port, required=True))


@PROTOCOLS
@pytest.mark.parametrize("known", [False, True])
def test_a_server_that_is_slow_to_greet_is_not_taken_for_one_with_tls(
    enter: Callable[[MailSettings], None], talk: Talk, known: bool
) -> None:
    def slow(connection: socket.socket) -> None:
        time.sleep(0.5)
        talk(connection)

    with serving(slow) as port:
        if known:
            opening._begin_with_tls.add(("localhost", port))
        enter(settings(port))


@PROTOCOLS
def test_certificates_are_checked_also_where_tls_is_not_required(
    authority: trustme.CA,
    enter: Callable[[MailSettings, EgressPolicy], None],
    talk: Talk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with serving(secured(authority, talk)) as port:
        for required in (True, False):
            with pytest.raises((ProviderError, SendFailed), match="certificate is not trusted") as caught:
                enter(settings(port, required=required), HERE)
            assert caught.value.details["step"] == "tls"
            enter(settings(port, required=required, verified=False), HERE)
        enter(settings(port), replace(HERE, ca_file=str(tmp_path / "ca.pem")))


def test_what_comes_in_clear_text_behind_starttls_is_never_believed(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")
        tag = connection.recv(100).split()[0]
        connection.sendall(tag + b" OK go\r\n* CAPABILITY IMAP4rev1 INJECTED\r\nP1 OK\r\nP2 OK\r\n")
        under_tls = context.wrap_socket(connection, server_side=True)
        for line in under_tls.makefile("rb"):
            under_tls.sendall(line.split()[0] + b" OK [CAPABILITY IMAP4rev1] in\r\n")

    with serving(talk) as port:
        session = open_session(settings(port, required=True), reach=HERE)
        assert not session.can("INJECTED")
