"""Opening a connection: name, socket, TLS, login. Each failure says its step in `details["step"]`.

With `tls_required` (the default) a server is spoken to only under TLS. Without it TLS is still used where
offered; a server that offers none is spoken to in clear text. In both cases its certificate must be one that
we trust, unless that is switched off by itself (`tls_verified`).
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chalicelib import bounds
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.errors import ProviderError
from chalicelib.providers.imap.protocol.compress import CAPABILITY
from chalicelib.providers.imap.protocol.connection import Connection
from chalicelib.providers.imap.protocol.failures import login_failure
from chalicelib.providers.imap.protocol.lines import Line, Reply, Wire, astring, tokens
from chalicelib.providers.network.egress import PUBLIC, EgressPolicy
from chalicelib.providers.network.opening import Opening

TIMEOUT = 30.0
"""Seconds for which a server may be silent once we are logged in."""

TLS_PORTS = frozenset({993})
_TOLD = re.compile(r"\[CAPABILITY ([^\]]+)\]", re.I)

Compress = Callable[[str], bool]
"""Tells whether to compress what goes to and comes from an address, if the server can."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A mailbox as EXAMINE or SELECT described it; `modseq` is 0 if changes are not counted.

    Where the server has not `told` UIDNEXT, `uidnext` is one more than the highest UID there is.
    """

    uidvalidity: int
    uidnext: int
    exists: int
    modseq: int
    told: bool = field(default=True, compare=False, kw_only=True)


@dataclass(slots=True)
class Session:
    """A connection that is logged in, and what its server can do.

    `selected` tells whether a mailbox is open, `writable` whether by SELECT, `standing` which one and how it
    was then, until the server says that it has moved.
    """

    connection: Any
    wire: Wire
    capabilities: frozenset[str]
    selected: bool = False
    writable: bool = False
    standing: tuple[str, Opened] | None = None

    def can(self, capability: str) -> bool:
        """Tell whether the server offers an extension."""
        return capability in self.capabilities

    def leave(self) -> None:
        """Leave the open mailbox: a server reports the open one as this connection last saw it."""
        if self.selected and self.can("UNSELECT"):
            self.wire.put_before((b"UNSELECT",))
        elif self.selected and not self.writable:
            self.wire.put_before((b"CLOSE",))  # which expunges nothing now (RFC 3501 section 6.4.2)
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
        connection: socket.socket = self.connection.sock
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
        self.connection.shutdown()


def never(address: str) -> bool:
    """Do not compress: for a connection that is handed over."""
    return False


def open_session(
    settings: MailSettings,
    *,
    reach: EgressPolicy = PUBLIC,
    compress: Compress = never,
) -> Session:
    """Connect and log in; raises AuthRejected, Throttled or ProviderError with the step that failed.

    All of it ends after OPENING_SECONDS. One round trip after the greeting where TLS begins at once and the
    server says unasked what it can; STARTTLS adds two.
    """
    opening = Opening(settings.imap, reach, settings.tls_verified, TLS_PORTS)
    connection: Connection | None = None
    try:
        with opening:
            connection = Connection(*opening.enter())
            session = _logged_in(opening, connection, required=settings.tls_required)
    except (OSError, ProviderError) as error:
        if connection:
            connection.shutdown()
        raise opening.failure(error) from None
    connection.sock.settimeout(TIMEOUT)
    session.wire.trust()
    _introduce(session, compress)
    return session


def _logged_in(opening: Opening, connection: Connection, *, required: bool) -> Session:
    opening.step = "greeting"
    wire = Wire(connection, bounds.LOGIN_BYTES)
    offered = _offered(wire.greeting())
    if not connection.secured:
        offered = offered or _capabilities_in(wire.run(b"CAPABILITY").or_fail())
        opening.step = "tls"
        if "STARTTLS" in offered:
            wire.run(b"STARTTLS").or_fail()
            connection.secure(opening.secure)
            # What was said in clear text does not count any more: it is asked for again with the login.
            wire, offered = Wire(connection, bounds.LOGIN_BYTES), frozenset()
        elif required:
            raise ProviderError("the server offers no TLS", step="tls")
    opening.step = "login"
    session = Session(connection, wire, offered)
    session.capabilities = _capabilities(wire, _log_in(session, opening.server))
    return session


def _offered(greeting: Line) -> frozenset[str]:
    """Return what a greeting says that the server can do. Raises ProviderError if it is none of IMAP."""
    words = greeting.text.upper().split(maxsplit=2)[:2]
    if words != [b"*", b"OK"]:
        raise ProviderError("this is no greeting of an IMAP server")
    told = _TOLD.search(greeting.text.decode("ascii", "ignore"))
    return frozenset(told.group(1).upper().split()) if told else frozenset()


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
    reply = None if _needs_plain(session) else _by_name(session, server)
    if reply is None or (not reply.ok and _needs_plain(session)):
        secret = f"\0{server.username}\0{server.password}".encode()
        reply = session.wire.answer(b"AUTHENTICATE PLAIN", base64.b64encode(secret))
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
    if session.can(CAPABILITY) and compress(session.connection.sock.getpeername()[0]):
        session.wire.compress_soon()
