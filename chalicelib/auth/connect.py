"""Connecting an end user's mailbox: try the credentials, store them sealed, begin to sync."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.account import GMAIL, Account, MailSettings, SyncState
from chalicelib.errors import AuthRejected, ConnectFailed, ProviderError, SendFailed
from chalicelib.ids import derived_id
from chalicelib.providers.base import Labelled, Provider, Transport
from chalicelib.store.values import Poll
from chalicelib.wire.connection import Connection

if TYPE_CHECKING:
    from chalicelib.store.ports import Accounts, Polls, Queues

PROVIDER = "imap"
DETECT = "detect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What connecting works with; two of the callables open the servers of given settings.

    `open_mailbox` takes the kind of provider, too; DETECT leaves it to what the server offers. `begin` has
    the history of a new account fetched.
    """

    accounts: Accounts
    polls: Polls
    queues: Queues
    begin: Callable[[Account], None]
    open_mailbox: Callable[[str, MailSettings], Provider]
    open_transport: Callable[[MailSettings], Transport]
    pepper: str


def connect(desk: Desk, wanted: Connection, now: int) -> Account:
    """Return the account, new or renewed, with its first sync queued. Raises ConnectFailed."""
    existing = _existing(desk, wanted)
    # An account stays what it is: its folders could not become labels, nor the reverse.
    provider = verify(desk, wanted.settings, existing.provider if existing else DETECT)
    account = _stored(desk, wanted, existing, provider, now)
    desk.polls.put(Poll(account_id=account.id, active_at=now, host=account.host))
    if existing:  # changes may have been given up while the server refused us
        desk.queues.send("sync", [{"account_id": account.id, "repair": 1}], account.id)
    else:
        desk.begin(account)
    return account


def verify(desk: Desk, settings: MailSettings, kind: str) -> str:
    """Log in to both servers; return the provider it turns out to be.

    Raises ConnectFailed naming the step: dns, tcp, tls, login or mailbox.
    """
    try:
        with closing(desk.open_mailbox(kind, settings)) as mailbox:
            if not mailbox.collections():
                raise ConnectFailed("The mailbox has no folders.", error="mailbox", server="imap")
            detected = GMAIL if isinstance(mailbox, Labelled) else PROVIDER
    except ProviderError as error:
        raise _failed(error, "imap") from error
    try:
        desk.open_transport(settings).verify()
    except (ProviderError, SendFailed) as error:
        raise _failed(error, "smtp") from error
    return detected if kind == DETECT else kind


def _failed(error: ProviderError | SendFailed, server: str) -> ConnectFailed:
    refused = isinstance(error, AuthRejected) or error.status == 403
    step = error.details.get("step", "login" if refused else "tcp")
    failed = ConnectFailed(f"{server.upper()}: {error.message}", error=step, server=server)
    failed.status = 403 if refused else 400
    return failed


def _existing(desk: Desk, wanted: Connection) -> Account | None:
    if wanted.reauth_account_id is None:
        return desk.accounts.by_email(wanted.application_id, wanted.email_address)
    account = desk.accounts.get(wanted.reauth_account_id)
    if account is None or account.application_id != wanted.application_id:
        raise ConnectFailed("reauth_account_id names no account.", error="Unknown account")
    if account.email_address.lower() != wanted.email_address.lower():
        raise ConnectFailed("reauth_account_id belongs to another address.", error="Another address")
    return account


def _stored(desk: Desk, wanted: Connection, existing: Account | None, provider: str, now: int) -> Account:
    account = Account(
        id=existing.id if existing else _new_id(desk, wanted),
        application_id=wanted.application_id,
        email_address=wanted.email_address,
        name=wanted.name,
        provider=provider,
        state=SyncState.INITIALIZING,
        linked_at=existing.linked_at if existing else now,
        scopes=wanted.scopes,
        history_days=existing.history_days if existing else None,
        folder_days=existing.folder_days if existing else {},
        host=wanted.settings.imap.host.lower(),
    )
    account = wanted.window.applied(account)
    if existing is None:
        stored = desk.accounts.create(account, wanted.settings)
        if stored.linked_at == now and stored.name == account.name:
            return stored
        account = wanted.window.applied(stored)  # another request connected this address at the same moment
    return desk.accounts.reconnect(account, wanted.settings)


def _new_id(desk: Desk, wanted: Connection) -> str:
    return derived_id(desk.pepper, "account", wanted.application_id, wanted.email_address.lower())
