"""Opening a connection: name, socket, TLS, login. Each failure says its step in `details["step"]`.

With `tls_required` (the default) a server is spoken to only under TLS and with a certificate the
system trusts. Without it TLS is still used where offered, but any certificate is taken, and a server
that offers none is spoken to in clear text.
"""

from __future__ import annotations

import base64
import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from chalicelib.domain.account import MailSettings, Server
from chalicelib.errors import ProviderError
from chalicelib.providers.imap.compress import CAPABILITY
from chalicelib.providers.imap.failures import failure, login_failure
from chalicelib.providers.imap.wire import Reply, Wire, astring, tokens
from chalicelib.providers.reach import MAIL_PORTS, PUBLIC, Reach
from chalicelib.providers.trust import mail_context

TIMEOUT = 30.0
TLS_PORTS = frozenset({993})
_GREETING_LINES = 200
_TOLD = re.compile(r"\[CAPABILITY ([^\]]+)\]", re.I)

Compress = Callable[[str], bool]
"""Tells whether to compress what goes to and comes from an address, if the server can."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A mailbox as EXAMINE or SELECT described it; `modseq` is 0 if changes are not counted."""

    uidvalidity: int
    uidnext: int
    exists: int
    modseq: int


@dataclass(slots=True)
class Session:
    """A connection that is logged in, and what its server can do.

    `selected` tells whether a mailbox is open, `standing` which one and how it was then, until the server
    says that it has moved.
    """

    client: Any
    wire: Wire
    capabilities: frozenset[str]
    selected: bool = False
    standing: tuple[str, Opened] | None = None

    def can(self, capability: str) -> bool:
        """Tell whether the server offers an extension."""
        return capability in self.capabilities

    def leave(self) -> None:
        """Leave the open mailbox: a server reports the open one as this connection last saw it."""
        if self.selected and self.can("UNSELECT"):
            self.wire.put_before((b"UNSELECT",))
        elif self.selected:
            self.wire.run(b"NOOP")  # a server may answer it after what is asked later
        self.selected, self.standing = False, None

    def is_lost(self) -> bool:
        """Tell whether the connection has ended."""
        try:
            self.wire.run(b"NOOP")
        except ProviderError:
            return True
        return False

    def hand_over(self) -> tuple[socket.socket, bytes]:
        """Return the bare connection, now without blocking, and what was read ahead; the session is over."""
        self.wire.run_all([])  # what still waits to be sent
        connection: socket.socket = self.client._imap.sock
        connection.setblocking(False)
        try:
            ahead = self.wire.ahead()
        except ssl.SSLWantReadError:  # how TLS says that there is nothing
            ahead = b""
        return connection, ahead

    def close(self) -> None:
        """Log out and hang up without waiting for the server's farewell; never raises."""
        with contextlib.suppress(ProviderError):
            self.wire.leave(b"LOGOUT")
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            self.client.shutdown()


def never(address: str) -> bool:
    """Do not compress: for a connection that is handed over."""
    return False


def open_session(
    settings: MailSettings,
    *,
    reach: Reach = PUBLIC,
    compress: Compress = never,
) -> Session:
    """Connect and log in; raises AuthRejected, Throttled or ProviderError with the step that failed.

    One round trip after the greeting where TLS begins at once and the server says unasked what it can;
    STARTTLS adds two.
    """
    client = _connect(settings, reach)
    try:
        _secure(client, settings)
        session = Session(client, Wire(client._imap), frozenset(client._imap.capabilities))
        session.capabilities = _capabilities(session.wire, _log_in(session, settings.imap))
        client._imap.state = "AUTH"  # the login went past imaplib, whose own commands ask for this
        _introduce(session, compress)
    except ProviderError:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            client.shutdown()
        raise
    return session


class _Connected(imaplib.IMAP4):
    """The protocol on a connection that is there already."""

    def __init__(self, sock: socket.socket, host: str, port: int) -> None:
        self._given = sock
        self._lines = _GREETING_LINES
        super().__init__(host, port)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._given

    def _get_capabilities(self) -> None:
        """Take them from the greeting, which saves a round trip.

        What was said before STARTTLS does not count any more: it is asked for again with the login.
        """
        told = self.untagged_responses.pop("CAPABILITY", None)
        if self._tls_established:
            self.capabilities: tuple[str, ...] = ()
            return
        if not told:
            _, told = self.capability()
        words = b" ".join(part for part in told if isinstance(part, bytes))
        self.capabilities = tuple(words.decode("ascii", "ignore").upper().split())

    def readline(self) -> bytes:
        """Read a line of the few there are before the login."""
        self._lines -= 1
        if self._lines < 0:
            raise self.abort("the mail server does not come to an end")
        return super().readline()

    def read(self, size: int) -> bytes:
        """Refuse literals: nothing that is said before the login needs one."""
        raise self.abort(f"the mail server announced {size} octets in one piece")


class _Client(IMAPClient):  # type: ignore[misc]  # the library has no types
    """An IMAPClient that does not look up the host once more: its address has been checked."""

    def __init__(self, sock: socket.socket, server: Server, tls: bool) -> None:
        self._connection = sock
        super().__init__(server.host, server.port, ssl=tls, timeout=TIMEOUT)

    def _create_IMAP4(self) -> imaplib.IMAP4:
        return _Connected(self._connection, self.host, self.port)


def _connect(settings: MailSettings, reach: Reach) -> Any:
    server = settings.imap
    at_once = server.port in TLS_PORTS
    sock = reach.connect(server.host, server.port, MAIL_PORTS, TIMEOUT)
    try:
        if at_once:
            sock = mail_context(settings.tls_required).wrap_socket(sock, server_hostname=server.host)
        client = _Client(sock, server, at_once)
    except ssl.SSLError as error:
        sock.close()
        raise ProviderError(f"No TLS connection to {server.host}: {error}", step="tls") from error
    except imaplib.IMAP4.error as error:
        sock.close()
        raise failure(str(error), step="tcp") from error
    except OSError as error:
        sock.close()
        raise ProviderError(f"{server.host}:{server.port}: {error}", step="tcp") from error
    client._imap.debug = 0  # imapclient formats every byte received for a log nobody reads
    return client


def _secure(client: Any, settings: MailSettings) -> None:
    if client.ssl:
        return
    try:
        if client.has_capability("STARTTLS"):
            client.starttls(mail_context(settings.tls_required))
        elif settings.tls_required:
            raise ProviderError("The mail server offers no TLS.", step="tls")
    except (OSError, IMAPClientError, imaplib.IMAP4.error) as error:
        raise ProviderError(f"No TLS connection to {settings.imap.host}: {error}", step="tls") from error


def _capabilities(wire: Wire, login: Reply) -> frozenset[str]:
    """Return what the server can do now, as it said with the login or else says when asked."""
    if told := _TOLD.search(login.text):
        return frozenset(told.group(1).upper().split())
    if any(login.of(b"CAPABILITY")):
        return _capabilities_in(login)
    return _capabilities_in(wire.run(b"CAPABILITY").or_fail())


def _capabilities_in(reply: Reply) -> frozenset[str]:
    return frozenset(_words(word for line in reply.of(b"CAPABILITY") for word in tokens(line)[2:]))


def _words(raw: Iterable[Any]) -> Iterable[str]:
    return (word.decode("ascii", "replace").upper() for word in raw if isinstance(word, bytes))


def _log_in(session: Session, server: Server) -> Reply:
    try:
        reply = None if _needs_plain(session) else _by_name(session, server)
        if reply is None or (not reply.ok and _needs_plain(session)):
            secret = f"\0{server.username}\0{server.password}".encode()
            reply = session.wire.answer(b"AUTHENTICATE PLAIN", base64.b64encode(secret))
    except ProviderError as error:
        error.details["step"] = "login"
        raise
    if not reply.ok:
        raise login_failure(reply.text)
    return reply


def _by_name(session: Session, server: Server) -> Reply:
    """Send LOGIN, and ask on the same way what the server can do if it has not said so since TLS began."""
    login = b"LOGIN", astring(server.username.encode()), astring(server.password.encode())
    if session.capabilities:
        return session.wire.run(*login)
    told, reply = session.wire.run_all([(b"CAPABILITY",), login])
    session.capabilities = _capabilities_in(told)
    return reply


def _needs_plain(session: Session) -> bool:
    return session.can("LOGINDISABLED") and session.can("AUTH=PLAIN")


def _introduce(session: Session, compress: Compress) -> None:
    """Name ourselves (some servers insist), have changes counted before any folder is opened, compress.

    All of it travels with the first command.
    """
    if session.can("ID"):
        session.wire.put_before((b'ID ("name" "Postern")',))
    if session.can("ENABLE") and session.can("CONDSTORE"):
        session.wire.put_before((b"ENABLE " + (b"QRESYNC" if session.can("QRESYNC") else b"CONDSTORE"),))
    if session.can(CAPABILITY) and compress(session.client._imap.sock.getpeername()[0]):
        session.wire.compress_soon()
