"""A mail submission server (aiosmtpd) that delivers what it takes into Dovecot's mailboxes."""

from __future__ import annotations

import logging
import warnings
from types import TracebackType
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from infra.demo.dovecot import PASSWORD, Dovecot
from infra.demo.visitor import login
from infra.machine import ports


def be_quiet() -> None:
    """Silence the mail server's advice about TLS: only this machine reaches it."""
    warnings.filterwarnings("ignore", message="Requiring AUTH", category=UserWarning)
    logging.getLogger("mail").setLevel(logging.ERROR)


class Submission:
    """Accepts anybody with PASSWORD; recipients beginning with `reject` are refused."""

    def __init__(self, imap: Dovecot) -> None:
        self.port = ports.any_free()
        self.accepted: list[bytes] = []
        self._imap = imap
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=_authenticate,
            auth_require_tls=False,
            auth_required=True,
        )

    def __enter__(self) -> Submission:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.startswith("reject"):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.accepted.append(envelope.content)
        for address in envelope.rcpt_tos:
            with login(self._imap, address) as client:
                client.append("INBOX", envelope.content)
        return "250 OK"


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    is_known = isinstance(data, LoginPassword) and data.password.decode() == PASSWORD
    return AuthResult(success=is_known, handled=is_known)
