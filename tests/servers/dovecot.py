"""Dovecot as one of the servers; `infra.demo.dovecot` starts it."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.demo import dovecot
from tests.servers.mailbox import Mailbox, Unavailable


@dataclass(slots=True)
class Dovecot:
    """One server; any user may log in."""

    inner: dovecot.Dovecot = field(default_factory=dovecot.Dovecot)

    def start(self) -> Dovecot:
        """Start and wait until it greets."""
        if not dovecot.installed():
            raise Unavailable("Dovecot is not installed (package dovecot-imapd)")
        self.inner.start()
        return self

    def add_user(self, user: str) -> Mailbox:
        """Return a mailbox; it is made by the first login."""
        return Mailbox(user=user, imap=self.inner.imap)

    def stop(self) -> None:
        """Stop the server and remove all its files."""
        self.inner.stop()
