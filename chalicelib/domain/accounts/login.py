"""Whose mailbox it is: the login that its mail server has confirmed, not the address somebody claims."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from chalicelib.domain.accounts.mail_settings import Server

_PORTS = frozenset({143, 993})
"""IMAP's own: at any other port of a host somebody else may listen."""

_GOOGLE = "imap.gmail.com"
_GOOGLE_HOSTS = frozenset({_GOOGLE, "imap.googlemail.com"})
_GOOGLE_DOMAINS = frozenset({"gmail.com", "googlemail.com"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """`server` is a host, with its port unless that is IMAP's own; `user` is as the server has taken it."""

    server: str
    user: str

    @property
    def key(self) -> str:
        """Return what all spellings of one mailbox have in common.

        Two mailboxes may share it as well, where case counts: only a login under the stored spelling tells.
        """
        return f"{self.server}/{_folded(self.server, self.user)}"


def login_of(server: Server) -> Login:
    """Return the login that settings of an IMAP (or SMTP) server stand for."""
    host = host_of(server.host)
    return Login(server=host if server.port in _PORTS else f"{host}:{server.port}", user=server.username)


def host_of(name: str) -> str:
    """Return the one spelling of a host's name or address."""
    host = name.strip().rstrip(".").lower()
    with suppress(UnicodeError):
        host = host.encode("idna").decode()
    with suppress(ValueError):
        host = ip_address(host.strip("[]")).compressed
    return _GOOGLE if host in _GOOGLE_HOSTS else host


def _folded(server: str, user: str) -> str:
    name = user.strip().casefold()
    if server != _GOOGLE:
        return name
    local, _, domain = name.partition("@")
    if domain and domain not in _GOOGLE_DOMAINS:
        return name
    return f"{local.replace('.', '')}@gmail.com"
