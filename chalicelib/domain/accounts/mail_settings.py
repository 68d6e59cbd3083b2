"""How to log in to the mail servers of an account."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How to reach and log in to one mail server."""

    host: str
    port: int
    username: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """Both servers of an IMAP account; sealed before it is stored.

    Under TLS, required or not, a server needs a certificate that we trust, unless it is not `tls_verified`.
    """

    imap: Server
    smtp: Server
    tls_required: bool = True
    tls_verified: bool = True
