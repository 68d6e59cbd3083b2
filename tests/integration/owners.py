"""An account and its mail settings, as the tests of the tables make them."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.mail_settings import MailSettings, Server

NOW = 1_700_000_000.0


def account(id: str = "acct1", application_id: str = "app1", email: str = "Ann@x.org") -> Account:
    return Account(
        id=id,
        application_id=application_id,
        email_address=email,
        name="",
        provider="imap",
        state=SyncState.INITIALIZING,
        linked_at=int(NOW),
        scopes="email",
        history_days=0,
    )


def mail(password: str = "hunter2-in-clear") -> MailSettings:
    server = Server(host="mail.x.org", port=993, username="ann", password=password)
    return MailSettings(imap=server, smtp=replace(server, port=465), tls_required=False)
