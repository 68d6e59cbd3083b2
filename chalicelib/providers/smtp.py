"""SMTP submission, and what its refusals mean to the API's client."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import aiosmtplib

from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.errors import ProviderError, SendFailed
from chalicelib.providers.network.egress import PUBLIC, EgressPolicy
from chalicelib.providers.network.opening import Opening, named, reason_of

TIMEOUT = 45.0
TLS_PORTS = frozenset({465})

_NOT_AUTHENTICATED = "Could not authenticate with the SMTP server."
_DISCONNECTED = "The server unexpectedly closed the connection"
_ALL_REFUSED = "Sending to all recipients failed"
_BUSY = "The mail server is busy"
_QUOTA = "Daily sending quota exceeded"
_TEMPORARY = "The mail server rejected the mail for now"
_RECIPIENT = "A recipient was rejected"
_CONTENT = "The mail server rejected the content"
_TOO_LARGE = "Message too large"

# Reply code, words of its text, HTTP status, message: the first match counts.
_REPLIES = (
    (421, "4.4.5", 503, _BUSY),
    (421, "4.7.0", 429, _BUSY),
    (421, "4.7.2", 429, _BUSY),
    (450, "4.2.1", 429, _TEMPORARY),
    (450, "4.3.0", 429, _TEMPORARY),
    (450, "4.7.1", 429, _TEMPORARY),
    (451, "4.3.5", 429, _TEMPORARY),
    (451, "4.7.1", 429, _TEMPORARY),
    (452, "4.5.3", 402, "Too many recipients"),
    (454, "4.7.0", 429, _TEMPORARY),
    (522, "5.7.1", 402, _RECIPIENT),
    (530, "5.7.0", 402, _RECIPIENT),
    (535, "5.7.1", 429, "Log in with a web browser first"),
    (550, "5.1.1", 402, _RECIPIENT),
    (550, "5.2.1", 402, _RECIPIENT),
    (550, "5.3.2", 429, _BUSY),
    (550, "5.4.5", 429, _QUOTA),
    (550, "5.4.6", 429, _QUOTA),
    (550, "5.7.1", 429, _TEMPORARY),
    (550, "5.7.0", 402, "Relaying is denied"),
    (550, "classified as spam", 402, _CONTENT),
    (550, "rate limit", 429, _QUOTA),
    (550, "24-hour", 429, _QUOTA),
    (550, "24 hour", 429, _QUOTA),
    (552, "5.2.3", 402, _TOO_LARGE),
    (552, "5.3.4", 402, _TOO_LARGE),
    (552, "5.7.0", 402, _CONTENT),
    (552, "5.7.1", 402, _CONTENT),
    (553, "5.1.2", 402, _RECIPIENT),
    (553, "5.7.1", 402, "The sender was rejected"),
    (554, "5.6.0", 402, _CONTENT),
    (554, "5.7.1", 402, _CONTENT),
)
_Response = aiosmtplib.SMTPResponseException
_RETRY_LOGIN = {(421, "4.7.0"), (454, "4.7.0")}

T = TypeVar("T")


class SmtpTransport:
    """A submission server; each call is a connection of its own.

    TLS follows the same rules as IMAP (`imap/session.py`).
    """

    def __init__(self, settings: MailSettings, reach: EgressPolicy = PUBLIC) -> None:
        self._reach = reach
        self._server = settings.smtp
        self._tls_required = settings.tls_required
        self._tls_verified = settings.tls_verified

    def verify(self) -> None:
        """Connect and log in, send nothing. Raises SendFailed with the step in `details["step"]`."""

        async def nothing(_: aiosmtplib.SMTP) -> None:
            return

        asyncio.run(self._connected(nothing))

    def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> dict[str, tuple[int, str]]:
        """Submit 7-bit lines; return the refused recipients with their SMTP replies.

        Raises SendFailed if all were refused.
        """

        async def submit(client: aiosmtplib.SMTP) -> dict[str, tuple[int, str]]:
            refused, _ = await client.sendmail(sender, list(recipients), raw)
            return {address: (reply.code, reply.message) for address, reply in refused.items()}

        return asyncio.run(self._connected(submit))

    async def _connected(self, work: Callable[[aiosmtplib.SMTP], Awaitable[T]]) -> T:
        try:
            return await self._session(work)
        except SendFailed as error:
            if error.status != 503:
                raise
            raise self._placed(error) from error

    def _placed(self, error: SendFailed) -> SendFailed:
        """Say of a server that fails which one it is, and at which step."""
        place = f"{self._server.host}:{self._server.port}"
        step = error.details.get("step", "send")
        told = error.message.startswith(f"{place}, ")  # as `Opening` tells it
        message = error.message if told else f"{place}, step {step}: {error.message}"
        details = {**error.details, "step": step, "host": self._server.host, "port": self._server.port}
        return SendFailed(503, message, **details)

    async def _session(self, work: Callable[[aiosmtplib.SMTP], Awaitable[T]]) -> T:
        with self._opening() as opening:
            client = await self._opened(opening)
        try:
            return await work(client)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise send_failure(error) from error
        finally:
            await _quit(client)

    def _opening(self) -> Opening:
        return Opening(self._server, self._reach, self._tls_verified, TLS_PORTS)

    async def _opened(self, opening: Opening) -> aiosmtplib.SMTP:
        """Return a client that is logged in. A server that was only slow to greet is called once more."""
        sock = self._socket(opening)
        at_once = opening.begins_with_tls(sock)
        try:
            return await self._entered(opening, sock, at_once)
        except SendFailed as error:
            if not at_once or not opening.was_no_tls(error):
                raise
        return await self._entered(opening, self._socket(opening), False)

    async def _entered(self, opening: Opening, sock: socket.socket, at_once: bool) -> aiosmtplib.SMTP:
        client = self._client(opening, sock, at_once)
        try:
            await self._open(opening, client)
            await self._log_in(opening, client)
        except SendFailed:
            await _quit(client)
            raise
        if at_once:
            opening.note_tls()
        return client

    def _client(self, opening: Opening, sock: socket.socket, at_once: bool) -> aiosmtplib.SMTP:
        try:
            context = opening.context()
        except ProviderError as error:
            raise SendFailed(503, error.message, **error.details) from error
        return aiosmtplib.SMTP(
            hostname=self._server.host,
            sock=sock,
            timeout=TIMEOUT,
            use_tls=at_once,
            start_tls=False,
            tls_context=context,
            local_hostname="localhost",  # our own name is nobody's business
        )

    def _socket(self, opening: Opening) -> socket.socket:
        """Connect to an address that was checked; each call has an event loop of its own to itself."""
        try:
            sock = opening.connect()
        except ProviderError as error:
            raise SendFailed(503, error.message, **error.details) from error
        sock.setblocking(False)
        return sock

    async def _open(self, opening: Opening, client: aiosmtplib.SMTP) -> None:
        opening.step = "greeting"
        try:
            await client.connect()
            await client.ehlo()
            if client.get_transport_info("sslcontext") is None and self._wants_tls(client):
                opening.step = "tls"
                await client.starttls()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _open_failure(opening, error) from error

    def _wants_tls(self, client: aiosmtplib.SMTP) -> bool:
        offered = client.supports_extension("starttls")
        if self._tls_required and not offered:
            raise SendFailed(403, _NOT_AUTHENTICATED, step="tls", server_error="no STARTTLS is offered")
        return offered

    async def _log_in(self, opening: Opening, client: aiosmtplib.SMTP) -> None:
        opening.step = "login"
        if not self._server.username:
            return
        try:
            await client.login(self._server.username, self._server.password)
        except aiosmtplib.SMTPServerDisconnected as error:
            raise SendFailed(503, opening.told(_DISCONNECTED), step="login") from error
        except aiosmtplib.SMTPResponseException as error:
            raise _login_failure(error) from error
        except (aiosmtplib.SMTPTimeoutError, OSError) as error:
            raise SendFailed(503, opening.told(_DISCONNECTED), step="login") from error
        except aiosmtplib.SMTPException as error:
            raise SendFailed(403, _NOT_AUTHENTICATED, step="login", server_error=error.message) from error


def send_failure(error: Exception) -> SendFailed:
    """Return what a failed submission is to the API's client."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return _recipients_failure(error.recipients)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        status, message = classify(error.code, error.message)
        return SendFailed(status, message, server_error=f"{error.code} : {error.message}")
    if isinstance(error, (OSError, aiosmtplib.SMTPTimeoutError)):
        return SendFailed(503, _DISCONNECTED)
    if isinstance(error, ValueError):  # an address that cannot be written in ASCII
        return SendFailed(402, _RECIPIENT, server_error=str(error))
    return SendFailed(503, "Sending failed", server_error=str(error))


def classify(code: int, text: str) -> tuple[int, str]:
    """Return the HTTP status and message of an SMTP reply."""
    lowered = text.lower()
    for known, words, status, message in _REPLIES:
        if code == known and words in lowered:
            return status, message
    return (422 if code >= 500 else 503), "Sending failed"


def _recipients_failure(refused: Sequence[aiosmtplib.SMTPRecipientRefused]) -> SendFailed:
    """All were refused: 402, unless every refusal only asks to try again later."""
    verdicts = [classify(reply.code, reply.message) for reply in refused]
    later = [verdict for verdict in verdicts if verdict[0] in (429, 503)]
    status, message = later[0] if len(later) == len(verdicts) else (402, _ALL_REFUSED)
    return SendFailed(
        status,
        message,
        server_error=f"{refused[0].code} : {refused[0].message}",
        failures={reply.recipient: [reply.code, reply.message] for reply in refused},
    )


def _login_failure(error: aiosmtplib.SMTPResponseException) -> SendFailed:
    said = f"{error.code} : {error.message}"
    if any(error.code == code and words in error.message for code, words in _RETRY_LOGIN):
        return SendFailed(429, _TEMPORARY, step="login", server_error=said)
    if error.code < 500:
        return SendFailed(503, "Sending failed", step="login", server_error=said)
    return SendFailed(403, _NOT_AUTHENTICATED, step="login", server_error=said)


def _open_failure(opening: Opening, error: Exception) -> SendFailed:
    """Return why there is no way in, without a word of a server that nobody has logged in to."""
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    step = "tls" if isinstance(cause, ssl.SSLError) else opening.step
    status = classify(error.code, error.message)[0] if isinstance(error, _Response) else 503
    told = opening.told(reason_of(cause) if isinstance(cause, OSError) else _reason(error), step)
    return SendFailed(status, told, step=named(step))


def _reason(error: Exception) -> str:
    if isinstance(error, _Response) and error.code > 0:
        return f"the server answers {error.code}"
    if isinstance(error, aiosmtplib.SMTPServerDisconnected):
        return "the server closes the connection"
    if isinstance(error, (aiosmtplib.SMTPTimeoutError, TimeoutError)):
        return "no answer in time"
    return "the server does not speak SMTP"


async def _quit(client: aiosmtplib.SMTP) -> None:
    if client.is_connected:
        with suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=5)
    client.close()
