"""How Postern reaches an account on the Gmail of our own."""

from __future__ import annotations

from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.providers.network.egress import EgressPolicy
from tests.fakes.gmail_server import PASSWORD, GmailServer

HERE = EgressPolicy(local=True)


def settings_of(server: GmailServer, user: str = "mira") -> MailSettings:
    imap = Server(host="127.0.0.1", port=server.port, username=user, password=PASSWORD)
    return MailSettings(imap=imap, smtp=imap, tls_required=False)
