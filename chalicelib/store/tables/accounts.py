"""Accounts: rows of `core` with sealed credentials, unique per application and address."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.account import Account, MailSettings, Server, SyncState
from chalicelib.domain.removal import Frozen
from chalicelib.domain.trouble import Fault, Trouble
from chalicelib.domain.window import WindowChange
from chalicelib.errors import Conflict, NotFound
from chalicelib.store.connection import bind, transactions
from chalicelib.store.tables.core import (
    ACCOUNT_PREFIX,
    META,
    AccountPointerRow,
    AccountRow,
    account_pk,
    application_pk,
    email_pk,
    listed_sk,
)
from chalicelib.store.values import Stale
from chalicelib.store.vault import Vault

_FIELD = "credentials"
_ADDRESS = "A"
_TRIES = 5


class AccountTable:
    """The port Accounts."""

    def __init__(self, settings: Settings, vault: Vault, now: Clock = time.time) -> None:
        bind(settings)
        self._settings = settings
        self._vault = vault
        self._now = now

    def get(self, account_id: str) -> Account | None:
        """Return an account, None if there is none; strongly consistent."""
        try:
            row = AccountRow.get(account_pk(account_id), META, consistent_read=True)
        except AccountRow.DoesNotExist:
            return None
        return _account(row)

    def by_email(self, application_id: str, email: str) -> Account | None:
        """Return the application's account of that address (compared in lower case)."""
        try:
            pointer = AccountPointerRow.get(email_pk(application_id, email), _ADDRESS, consistent_read=True)
        except AccountPointerRow.DoesNotExist:
            return None
        return self.get(pointer.account_id)

    def of_application(self, application_id: str) -> list[Account]:
        """Return every account of an application, oldest first."""
        pointers = AccountPointerRow.query(
            application_pk(application_id),
            AccountPointerRow.sk.startswith(ACCOUNT_PREFIX),
            consistent_read=True,
        )
        ids = [pointer.account_id for pointer in pointers]
        keys = [(account_pk(id), META) for id in ids]
        found = {row.id: _account(row) for row in AccountRow.batch_get(keys, consistent_read=True)}
        return [found[id] for id in ids if id in found]

    def create(self, account: Account, settings: MailSettings) -> Account:
        """Store a new account with sealed credentials.

        If the address is connected already, nothing is written and the stored account returned.
        Raises Conflict if the id belongs to another address, Stale if others keep writing it.
        """
        existing = self.by_email(account.application_id, account.email_address)
        if existing:
            return existing
        account = replace(account, rev=self._next(account.rev))
        row = _row(account, self._sealed(account, settings))
        for _ in range(_TRIES):
            try:
                self._insert(row)
                return account
            except TransactWriteError as error:
                existing = self.by_email(account.application_id, account.email_address)
                if existing:
                    return existing
                _raise_unless_passing(error)
        raise Stale(account.id)

    def reconnect(self, account: Account, settings: MailSettings) -> Account:
        """Replace the credentials and begin again from `initializing`.

        Name, provider, scopes and history window become those of `account`. Raises NotFound, Stale.
        """
        sealed = self._sealed(account, settings)
        for _ in range(_TRIES):
            stored = self.get(account.id)
            if stored is None or stored.application_id != account.application_id:
                raise NotFound(f"No account {account.id}.")
            renewed = replace(
                stored,
                name=account.name,
                provider=account.provider,
                scopes=account.scopes,
                history_days=account.history_days,
                folder_days=account.folder_days,
                host=account.host,
                state=SyncState.INITIALIZING,
                rev=self._next(stored.rev),
                trouble=None,
            )
            actions = [*_profile(renewed), *_state(renewed), AccountRow.credentials.set(sealed)]
            actions.append(AccountRow.trouble.remove())
            if _update(stored, actions):
                return renewed
        raise Stale(account.id)

    def settings(self, account_id: str) -> MailSettings:
        """Unseal and return the credentials. Raises NotFound."""
        try:
            row = AccountRow.get(account_pk(account_id), META, consistent_read=True)
        except AccountRow.DoesNotExist as error:
            raise NotFound(f"No account {account_id}.") from error
        return _opened(self._vault.open(row.application_id, account_id, _FIELD, row.credentials))

    def configure(self, account: Account, change: WindowChange) -> Account:
        """Change how much mail is kept; what is so already is no write. Raises NotFound, Stale."""
        for _ in range(_TRIES):
            stored = self.get(account.id)
            if stored is None:
                raise NotFound(f"No account {account.id}.")
            changed = change.applied(stored)
            if changed == stored:
                return stored
            changed = replace(changed, rev=self._next(stored.rev))
            if _update(stored, [*_window(changed), AccountRow.rev.set(changed.rev)]):
                return changed
        raise Stale(account.id)

    def transition(self, account: Account, state: SyncState) -> Account:
        """Move to a state, conditional on `rev`; the same state is no write. Raises Stale."""
        if account.state == state:
            return account
        moved = replace(account, state=state, rev=self._next(account.rev))
        if not _update(account, _state(moved)):
            raise Stale(account.id)
        return moved

    def note_trouble(self, account: Account, trouble: Trouble | None) -> Account:
        """Remember what keeps the account from syncing (None forgets it). Raises Stale."""
        if trouble == account.trouble:
            return account
        text = json.dumps(asdict(trouble)) if trouble else None
        _set_text(account.id, AccountRow.trouble, text, AccountRow.rev == account.rev)
        return replace(account, trouble=trouble)

    def note_frozen(self, account: Account, frozen: Sequence[Frozen]) -> Account:
        """Remember removals that wait, in place of those of `account`. Raises Stale."""
        marks = tuple(frozen)
        if marks == account.frozen:
            return account
        _set_text(account.id, AccountRow.frozen, _marks(marks), _unchanged(account))
        return replace(account, frozen=marks)

    def _insert(self, row: AccountRow) -> None:
        pointers = (
            AccountPointerRow(email_pk(row.application_id, row.email_address), _ADDRESS, account_id=row.id),
            AccountPointerRow(
                application_pk(row.application_id),
                listed_sk(int(row.linked_at), row.id),
                account_id=row.id,
            ),
        )
        with TransactWrite(connection=transactions(self._settings)) as transaction:
            transaction.save(row, condition=AccountRow.pk.does_not_exist())
            for pointer in pointers:
                transaction.save(pointer, condition=AccountPointerRow.pk.does_not_exist())

    def _sealed(self, account: Account, settings: MailSettings) -> bytes:
        plain = json.dumps(asdict(settings)).encode()
        return self._vault.seal(account.application_id, account.id, _FIELD, plain)

    def _next(self, rev: int) -> int:
        return max(rev + 1, int(self._now() * 1000))


def _update(stored: Account, actions: list[Action]) -> bool:
    """Apply the actions unless the row has moved on since `stored` was read."""
    row = AccountRow(account_pk(stored.id), META)
    try:
        row.update(actions=actions, condition=AccountRow.rev == stored.rev)
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _set_text(account_id: str, attribute: UnicodeAttribute, text: str | None, condition: Condition) -> None:
    """Write a part of the row that needs no new `rev`. Raises Stale."""
    action = attribute.remove() if text is None else attribute.set(text)
    row = AccountRow(account_pk(account_id), META)
    try:
        row.update(actions=[action], condition=AccountRow.pk.exists() & condition)
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        raise Stale(account_id) from error


def _unchanged(account: Account) -> Condition:
    marks = _marks(account.frozen)
    return AccountRow.frozen == marks if marks else AccountRow.frozen.does_not_exist()


def _marks(frozen: Sequence[Frozen]) -> str | None:
    return json.dumps([asdict(mark) for mark in frozen]) if frozen else None


def _trouble(text: str | None) -> Trouble | None:
    if not text:
        return None
    facts = json.loads(text)
    folders = tuple((str(id), int(passes)) for id, passes in facts.pop("folders"))
    return Trouble(**facts | {"fault": Fault(facts["fault"]), "folders": folders})


def _raise_unless_passing(error: TransactWriteError) -> None:
    codes = {reason.code for reason in error.cancellation_reasons if reason}
    if "ConditionalCheckFailed" in codes:
        raise Conflict("This account cannot be connected: its id is in use.") from error
    if "TransactionConflict" not in codes:
        raise error


def _state(account: Account) -> list[Action]:
    return [AccountRow.state.set(account.state.value), AccountRow.rev.set(account.rev)]


def _profile(account: Account) -> list[Action]:
    return [
        AccountRow.name.set(account.name),
        AccountRow.provider.set(account.provider),
        AccountRow.scopes.set(account.scopes),
        AccountRow.host.set(account.host),
        *_window(account),
    ]


def _window(account: Account) -> list[Action]:
    days = account.history_days
    return [
        AccountRow.history_days.remove() if days is None else AccountRow.history_days.set(days),
        AccountRow.folder_days.set(json.dumps(dict(account.folder_days))),
    ]


def _row(account: Account, sealed: bytes) -> AccountRow:
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
    )


def _account(row: AccountRow) -> Account:
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
        frozen=tuple(Frozen(**mark) for mark in json.loads(row.frozen or "[]")),
        host=row.host or "",
    )


def _opened(plain: bytes) -> MailSettings:
    fields = json.loads(plain)
    return MailSettings(
        imap=Server(**fields["imap"]),
        smtp=Server(**fields["smtp"]),
        tls_required=fields["tls_required"],
        # Accounts connected before these were two settings keep what they were connected with.
        tls_verified=fields.get("tls_verified", fields["tls_required"]),
    )
