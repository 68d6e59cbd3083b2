"""Reaching a mail server: connection, TLS, greeting and login before one deadline, failures in our own words.

Nobody may have proven anything yet, so what the server says is never repeated.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack
from dataclasses import dataclass, field

from chalicelib import bounds
from chalicelib.clock import Deadline
from chalicelib.domain.accounts.mail_settings import Server
from chalicelib.errors import AuthRejected, ProviderError, Throttled
from chalicelib.providers.network.cutoff import cut_off
from chalicelib.providers.network.egress import MAIL_PORTS, EgressPolicy
from chalicelib.providers.network.tls import mail_context

GREETING_SECONDS = 3.0
"""A server that says nothing for so long waits for TLS to begin."""

_NO_TLS = frozenset(
    {
        "HTTP_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNKNOWN_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)
_MOST_KNOWN = 1_000
_begin_with_tls: set[tuple[str, int]] = set()


@dataclass(slots=True)
class Opening:
    """One way to a server that is being opened; a context manager, in which the deadline holds.

    `step` is where it has come: dns, tcp, tls, greeting, login.
    """

    server: Server
    reach: EgressPolicy
    verified: bool
    tls_ports: frozenset[int]
    deadline: Deadline = field(default_factory=lambda: Deadline.after(bounds.OPENING_SECONDS))
    step: str = "tcp"
    _cut_off: ExitStack = field(default_factory=ExitStack)
    _failure: ProviderError | None = None

    def __enter__(self) -> Opening:
        return self

    def __exit__(self, *_: object) -> None:
        self._cut_off.close()

    def connect(self) -> socket.socket:
        """Return a connection that ends at the deadline. Raises Refused, ProviderError."""
        server, left = self.server, max(self.deadline.left(), 0.01)
        try:
            sock = self.reach.connect(server.host, server.port, MAIL_PORTS, left)
        except ProviderError as error:
            raise self.failure(error) from None
        self._cut_off.enter_context(cut_off(sock, self.deadline))
        return sock

    def enter(self) -> tuple[socket.socket, bool]:
        """Connect; return a connection and whether it is under TLS already.

        Some ports always are. Elsewhere a server that does not greet is taken for one that waits for TLS; if
        it only was slow to greet, it is called once more. Raises ProviderError.
        """
        sock = self.connect()
        if not self.begins_with_tls(sock):
            return sock, False
        try:
            secured = self.secure(sock)
        except ssl.SSLError as error:
            if not self.was_no_tls(error):
                raise
            return self.connect(), False
        self.note_tls()
        return secured, True

    def was_no_tls(self, error: BaseException) -> bool:
        """Tell whether TLS was only a guess, and a wrong one: the server greets, if late. Then forget it."""
        seen: BaseException | None = error
        while seen is not None and not isinstance(seen, ssl.SSLError):
            seen = seen.__cause__
        guessed = self.server.port not in self.tls_ports
        if not guessed or not isinstance(seen, ssl.SSLError) or seen.reason not in _NO_TLS:
            return False
        _begin_with_tls.discard(self._address)
        self.step = "greeting"
        return True

    def begins_with_tls(self, sock: socket.socket) -> bool:
        """Tell whether a server waits for TLS, if need be by waiting for its greeting."""
        if self.server.port in self.tls_ports or self._address in _begin_with_tls:
            return True
        patience = min(GREETING_SECONDS, self.deadline.left() / 2)
        return _is_silent(sock, patience)

    def secure(self, sock: socket.socket) -> ssl.SSLSocket:
        """Begin TLS. Raises OSError."""
        self.step = "tls"
        return self.context().wrap_socket(sock, server_hostname=self.server.host)

    def note_tls(self) -> None:
        """Remember that TLS begins at once here: the next time nobody waits for a greeting."""
        if self.server.port not in self.tls_ports and len(_begin_with_tls) < _MOST_KNOWN:
            _begin_with_tls.add(self._address)

    def context(self) -> ssl.SSLContext:
        """Return whom we trust."""
        return mail_context(self.verified, self.reach.ca_file)

    def failure(self, error: Exception) -> ProviderError:
        """Return what to raise: host, port, step and the reason in our words; of the same kind as `error`."""
        if error is self._failure:
            return self._failure
        known = error.details if isinstance(error, ProviderError) else {}
        step = self.step if known.get("step", "mailbox") == "mailbox" else str(known["step"])
        kind = type(error) if isinstance(error, ProviderError) else ProviderError
        details = {**known, "step": named(step)}
        self._failure = kind(self.told(reason_of(error), step), **details)
        self._failure.__cause__ = error
        return self._failure

    def told(self, reason: str, step: str = "") -> str:
        """Return a sentence with host, port, step and a reason, which should be in our words."""
        step = step or self.step
        late = self.deadline.passed() or (self.reach.until is not None and self.reach.until.passed())
        reason = "not done in time" if late else reason
        behind = " (greeting)" if step == "greeting" else ""
        return f"{self.server.host}:{self.server.port}, step {named(step)}: {reason}{behind}."

    @property
    def _address(self) -> tuple[str, int]:
        return self.server.host.lower(), self.server.port


def _is_silent(sock: socket.socket, seconds: float) -> bool:
    before = sock.gettimeout()
    sock.settimeout(seconds)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    except OSError:
        return False  # whoever reads next will learn why
    finally:
        sock.settimeout(before)
    return False


def named(step: str) -> str:
    """Return a step as the API calls it."""
    return "tcp" if step == "greeting" else step


def reason_of(error: Exception) -> str:
    """Return why something failed, without a word of the other side's."""
    if isinstance(error, AuthRejected):
        return "the server refuses the login"
    if isinstance(error, Throttled):
        return "the server asks for patience"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
    if isinstance(error, ssl.SSLError):
        return f"no TLS ({error.reason or 'cut off'})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error.__cause__, OSError):
        return reason_of(error.__cause__)
    return (getattr(error, "own_words", "") or str(error)).rstrip(".")
