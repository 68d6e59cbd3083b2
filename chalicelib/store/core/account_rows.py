"""Accounts as rows of `core`, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from pynamodb.expressions.update import Action

from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.accounts.login import Login
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.domain.accounts.trouble import FailureKind, Trouble
from chalicelib.store.core.rows import (
    META,
    AccountPointerRow,
    AccountRow,
    account_pk,
    application_pk,
    email_pk,
    listed_sk,
    login_pk,
)

ADDRESS, LOGIN = "A", "L"
"""Sort keys of what leads to an account by its address and by its login."""


def marks(frozen: Sequence[FrozenRemoval]) -> str | None:
    """Return frozen removals as a row holds them, None if there are none."""
    return json.dumps([asdict(mark) for mark in frozen]) if frozen else None


def _trouble(text: str | None) -> Trouble | None:
    if not text:
        return None
    facts = json.loads(text)
    folders = tuple((str(id), int(passes)) for id, passes in facts.pop("folders"))
    return Trouble(**facts | {"fault": FailureKind(facts["fault"]), "folders": folders})


def address_pointer(account: Account) -> AccountPointerRow:
    """Return what leads from the address to the account."""
    pk = email_pk(account.application_id, account.email_address)
    return AccountPointerRow(pk, ADDRESS, account_id=account.id)


def list_pointer(account: Account) -> AccountPointerRow:
    """Return the account's place in its application's list."""
    sk = listed_sk(account.linked_at, account.id)
    return AccountPointerRow(application_pk(account.application_id), sk, account_id=account.id)


def login_pointers(account: Account) -> list[AccountPointerRow]:
    """Return what leads from the login to the account; nothing if the login is not known."""
    if account.login is None:
        return []
    pk = login_pk(account.application_id, account.login)
    return [AccountPointerRow(pk, LOGIN, account_id=account.id)]


def set_state(account: Account) -> list[Action]:
    """Return what sets state and revision."""
    return [AccountRow.state.set(account.state.value), AccountRow.rev.set(account.rev)]


def set_profile(account: Account) -> list[Action]:
    """Return what sets all that a connection may change and that is no secret."""
    return [
        AccountRow.name.set(account.name),
        AccountRow.provider.set(account.provider),
        AccountRow.scopes.set(account.scopes),
        AccountRow.host.set(account.host),
        *set_window(account),
    ]


def set_proof(account: Account) -> list[Action]:
    """Return what sets whose mailbox it is."""
    login = account.login
    return [
        *([AccountRow.server.set(login.server), AccountRow.user.set(login.user)] if login else []),
        AccountRow.proved_at.set(account.proved_at),
        AccountRow.epoch.set(account.epoch),
    ]


def set_window(account: Account) -> list[Action]:
    """Return what sets how much mail is kept."""
    days = account.history_days
    return [
        AccountRow.history_days.remove() if days is None else AccountRow.history_days.set(days),
        AccountRow.folder_days.set(json.dumps(dict(account.folder_days))),
    ]


def row_of(account: Account, sealed: bytes) -> AccountRow:
    """Return a new account's row."""
    return AccountRow(
        account_pk(account.id),
        META,
        id=account.id,
        application_id=account.application_id,
        email_address=account.email_address,
        name=account.name,
        provider=account.provider,
        state=account.state.value,
        linked_at=account.linked_at,
        scopes=account.scopes,
        history_days=account.history_days,
        folder_days=json.dumps(dict(account.folder_days)),
        rev=account.rev,
        host=account.host,
        credentials=sealed,
        server=account.login.server if account.login else None,
        user=account.login.user if account.login else None,
        proved_at=account.proved_at,
        epoch=account.epoch,
    )


def account_of(row: AccountRow) -> Account:
    """Return the account of a row."""
    return Account(
        id=row.id,
        application_id=row.application_id,
        email_address=row.email_address,
        name=row.name,
        provider=row.provider,
        state=SyncState(row.state),
        linked_at=int(row.linked_at),
        scopes=row.scopes,
        history_days=None if row.history_days is None else int(row.history_days),
        folder_days=json.loads(row.folder_days) if row.folder_days else {},
        rev=int(row.rev),
        trouble=_trouble(row.trouble),
        frozen=tuple(FrozenRemoval(**mark) for mark in json.loads(row.frozen or "[]")),
        host=row.host or "",
        login=Login(server=row.server, user=row.user) if row.server is not None else None,
        proved_at=int(row.proved_at or 0),
        epoch=int(row.epoch or 0),
    )


def opened(plain: bytes) -> MailSettings:
    """Return the credentials of what was sealed."""
    fields = json.loads(plain)
    return MailSettings(
        imap=Server(**fields["imap"]),
        smtp=Server(**fields["smtp"]),
        tls_required=fields["tls_required"],
        # Accounts connected before these were two settings keep what they were connected with.
        tls_verified=fields.get("tls_verified", fields["tls_required"]),
    )
