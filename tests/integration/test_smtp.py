"""Submission against a scripted SMTP server (aiosmtpd)."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.errors import SendFailed
from chalicelib.providers.network.egress import EgressPolicy
from chalicelib.providers.smtp import SmtpTransport, classify
from chalicelib.sending.compose import compose
from chalicelib.sending.letter import load
from infra.machine import ports
from tests.worlds.sending import ACCOUNT, STAMP

RAW = b"From: me@x.example\r\nSubject: hi\r\n\r\n.dot and more\r\n"

HERE = EgressPolicy(local=True)


@dataclass
class Script:
    """Replies by recipient and to DATA; None closes the connection."""

    recipients: dict[str, str] = field(default_factory=dict)
    data: str | None = "250 OK"
    password: bytes = b"secret"
    received: list[Any] = field(default_factory=list)

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        reply = self.recipients.get(address, "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.received.append(envelope)
        if self.data is None:
            server.transport.abort()
        return self.data or "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == self.password, handled=False)


@dataclass
class Site:
    """A running server and how to reach it."""

    script: Script
    settings: MailSettings

    def send(self, *recipients: str) -> dict[str, tuple[int, str]]:
        return SmtpTransport(self.settings, HERE).send("me@x.example", recipients, RAW)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    running: list[Controller] = []

    def begin(tls: bool = True, tls_required: bool = True, **script: Any) -> Site:
        scripted = Script(**script)
        controller = Controller(
            scripted,
            hostname="127.0.0.1",
            port=ports.any_free(),
            tls_context=context if tls else None,
            auth_require_tls=False,
            authenticator=scripted.authenticate,
        )
        controller.start()
        running.append(controller)
        server = Server(host="localhost", port=controller.port, username="me", password="secret")
        return Site(scripted, MailSettings(imap=server, smtp=server, tls_required=tls_required))

    yield begin
    for controller in running:
        controller.stop()


def failure(site: Site, *recipients: str) -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        site.send(*recipients)
    return caught.value


def test_a_mail_reaches_everybody_byte_for_byte_under_tls(start: Callable[..., Site]) -> None:
    site = start()
    assert site.send("a@x.example", "b@x.example") == {}
    [envelope] = site.script.received
    assert (envelope.mail_from, envelope.rcpt_tos) == ("me@x.example", ["a@x.example", "b@x.example"])
    assert envelope.content == RAW


def test_a_partly_refused_mail_names_the_refused(start: Callable[..., Site]) -> None:
    site = start(recipients={"b@x.example": "550 5.1.1 unknown"})
    assert site.send("a@x.example", "b@x.example") == {"b@x.example": (550, "5.1.1 unknown")}
    assert site.script.received[0].rcpt_tos == ["a@x.example"]


def test_a_mail_refused_for_all_is_a_402_with_failures(start: Callable[..., Site]) -> None:
    error = failure(start(recipients={"b@x.example": "550 5.1.1 unknown"}), "b@x.example")
    assert (error.status, error.message) == (402, "Sending to all recipients failed")
    assert error.details["server_error"] == "550 : 5.1.1 unknown"
    assert error.details["failures"] == {"b@x.example": [550, "5.1.1 unknown"]}


def test_a_mail_put_off_for_all_says_try_later(start: Callable[..., Site]) -> None:
    error = failure(start(recipients={"b@x.example": "450 4.7.1 later"}), "b@x.example")
    assert error.status == 429


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ("552 5.3.4 too big", 402),
        ("550 5.4.5 quota", 429),
        ("554 something else", 422),
        ("451 something else", 503),
        (None, 503),
    ],
)
def test_a_refused_content_maps_to_its_status(
    start: Callable[..., Site], reply: str | None, status: int
) -> None:
    error = failure(start(data=reply), "a@x.example")
    assert error.status == status
    if reply:
        assert error.details["server_error"] == f"{reply[:3]} : {reply[4:]}"


@pytest.mark.parametrize(("script", "step"), [({"data": None}, "send"), ({"data": "421 4.4.5 busy"}, "send")])
def test_a_server_that_fails_is_named_with_its_step(
    start: Callable[..., Site], script: dict[str, Any], step: str
) -> None:
    site = start(**script)
    error, port = failure(site, "a@x.example"), site.settings.smtp.port
    assert error.status == 503 and error.message.startswith(f"localhost:{port}, step {step}: ")
    assert (error.details["host"], error.details["port"], error.details["step"]) == ("localhost", port, step)


def test_a_wrong_password_is_a_403_at_the_login_step(start: Callable[..., Site]) -> None:
    site = start(password=b"other")
    with pytest.raises(SendFailed) as caught:
        SmtpTransport(site.settings, HERE).verify()
    assert (caught.value.status, caught.value.message) == (
        403,
        "Could not authenticate with the SMTP server.",
    )
    assert caught.value.details["step"] == "login"


def test_a_good_login_verifies_and_sends_nothing(start: Callable[..., Site]) -> None:
    site = start()
    SmtpTransport(site.settings, HERE).verify()
    assert site.script.received == []


def test_a_server_without_tls_is_refused_where_tls_is_required(start: Callable[..., Site]) -> None:
    error = failure(start(tls=False), "a@x.example")
    assert (error.status, error.details["step"]) == (403, "tls")


def test_a_server_without_tls_is_used_where_tls_is_not_required(start: Callable[..., Site]) -> None:
    assert start(tls=False, tls_required=False).send("a@x.example") == {}


def test_an_untrusted_certificate_is_refused(
    start: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = start()
    monkeypatch.delenv("SSL_CERT_FILE")
    error = failure(site, "a@x.example")
    assert (error.status, error.details["step"]) == (503, "tls")
    assert site.script.received == []


@pytest.mark.parametrize(("host", "step"), [("no-such-host.invalid", "dns"), ("127.0.0.1", "tcp")])
def test_a_server_out_of_reach_names_the_step(host: str, step: str) -> None:
    server = Server(host=host, port=ports.any_free(), username="me", password="secret")
    with pytest.raises(SendFailed) as caught:
        SmtpTransport(MailSettings(imap=server, smtp=server), HERE).verify()
    assert (caught.value.status, caught.value.details["step"]) == (503, step)
    assert caught.value.message.count(f"{host}:{server.port}") == 1


def test_an_unlisted_reply_is_422_if_final_and_503_if_not() -> None:
    assert (classify(571, "no")[0], classify(471, "no")[0]) == (422, 503)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = Sink(listener)
        yield sink
        sink.join(10)


class Sink(threading.Thread):
    """A server without any extension that keeps every byte of the mail."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(daemon=True)
        self.listener, self.data, self.commands = listener, b"", list[bytes]()
        self.start()

    def run(self) -> None:
        """Speak SMTP once (RFC 5321)."""
        with self.listener.accept()[0] as peer, peer.makefile("rwb") as stream:
            self._say(stream, b"220 sink")
            for line in stream:
                self.commands.append(line.rstrip())
                self._say(stream, b"354 go on" if line.startswith(b"DATA") else b"250 sink")
                if line.startswith(b"DATA"):
                    while (line := stream.readline()) != b".\r\n":
                        self.data += line
                    self._say(stream, b"250 kept")

    def _say(self, stream: Any, line: bytes) -> None:
        stream.write(line + b"\r\n")
        stream.flush()


def test_a_server_without_extensions_gets_seven_bit_lines_it_can_take(sink: Sink) -> None:
    fields = {
        "to": [{"email": "tide@harbour.example", "name": "Tide, für Größe"}],
        "subject": "Grüße 🙂",
        "body": f"<p>a\0b</p>\r.\n.. {'ö' * 2000}\n{'x' * 2000}\n.\r\nFrom me",
        "custom_headers": {"X-A": "ü" * 600},
    }
    mail = compose(ACCOUNT, load(fields), None, STAMP)
    server = Server(host="127.0.0.1", port=sink.listener.getsockname()[1], username="", password="")
    settings = MailSettings(imap=server, smtp=server, tls_required=False)
    SmtpTransport(settings, HERE).send("me@x.example", ["tide@harbour.example"], mail.wire)
    sink.join(10)
    assert sink.data.replace(b"\r\n..", b"\r\n.") == mail.wire
    lines = sink.data.split(b"\r\n")
    assert max(map(len, lines)) <= 998 and not any(set(line) & {0, 10, 13} for line in lines)
    assert sink.data.isascii() and not any(b"BODY=" in command for command in sink.commands)
    text, html = message_from_bytes(mail.wire, policy=policy.default).iter_parts()
    assert html.get_content().startswith("<p>ab</p>\n.\n.. ööö") and "ab" in text.get_content()
