"""Accounts: rows of `core` with sealed credentials, unique per application by address and by login."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace

from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.accounts.login import Login
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.domain.accounts.trouble import Trouble
from chalicelib.errors import NotFound
from chalicelib.store.aws.connection import bind, transactions
from chalicelib.store.core import account_rows as rows
from chalicelib.store.core.rows import (
    ACCOUNT_PREFIX,
    META,
    AccountPointerRow,
    AccountRow,
    account_pk,
    application_pk,
    email_pk,
    login_pk,
)
from chalicelib.store.core.vault import Vault
from chalicelib.store.values import Stale

_FIELD = "credentials"
_TRIES = 5
_OVERTAKEN = frozenset({"ConditionalCheckFailed", "TransactionConflict"})


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
        return rows.account_of(row)

    def by_email(self, application_id: str, email: str) -> Account | None:
        return self._pointed(email_pk(application_id, email), rows.ADDRESS)

    def of_application(self, application_id: str) -> list[Account]:
        pointers = AccountPointerRow.query(
            application_pk(application_id),
            AccountPointerRow.sk.startswith(ACCOUNT_PREFIX),
            consistent_read=True,
        )
        ids = [pointer.account_id for pointer in pointers]
        keys = [(account_pk(id), META) for id in ids]
        found = {row.id: rows.account_of(row) for row in AccountRow.batch_get(keys, consistent_read=True)}
        return [found[id] for id in ids if id in found]

    def by_login(self, application_id: str, login: Login) -> Account | None:
        """Return the application's account of a mailbox, whatever its address."""
        return self._pointed(login_pk(application_id, login), rows.LOGIN)

    def create(self, account: Account, settings: MailSettings) -> Account:
        account = replace(account, rev=self._next(account.rev))
        row = rows.row_of(account, self._sealed(account, settings))
        with self._all_or_nothing(account.id) as transaction:
            transaction.save(row, condition=AccountRow.pk.does_not_exist())
            for pointer in (
                rows.address_pointer(account),
                rows.list_pointer(account),
                *rows.login_pointers(account),
            ):
                transaction.save(pointer, condition=AccountPointerRow.pk.does_not_exist())
        return account

    def reconnect(self, stored: Account, renewed: Account, settings: MailSettings) -> Account:
        """Replace the credentials and what else is new, and begin again from `initializing`.

        Id, application, address and list place are those of `stored`. Raises Stale if it changed meanwhile
        or another account has the login.
        """
        renewed = replace(renewed, state=SyncState.INITIALIZING, rev=self._next(stored.rev), trouble=None)
        sealed = AccountRow.credentials.set(self._sealed(renewed, settings))
        actions = [*rows.set_profile(renewed), *rows.set_state(renewed), *rows.set_proof(renewed), sealed]
        actions.append(AccountRow.trouble.remove())
        if renewed.frozen != stored.frozen:
            actions.append(AccountRow.frozen.remove())
        row = AccountRow(account_pk(stored.id), META)
        with self._all_or_nothing(stored.id) as transaction:
            transaction.update(row, actions=actions, condition=AccountRow.rev == stored.rev)
            for pointer in rows.login_pointers(renewed):
                ours = AccountPointerRow.account_id == stored.id
                transaction.save(pointer, condition=AccountPointerRow.pk.does_not_exist() | ours)
            if stored.login and renewed.login and stored.login.key != renewed.login.key:
                for pointer in rows.login_pointers(stored):
                    transaction.delete(pointer)
        return renewed

    def settings(self, account_id: str) -> MailSettings:
        """Unseal and return the credentials. Raises NotFound."""
        try:
            row = AccountRow.get(account_pk(account_id), META, consistent_read=True)
        except AccountRow.DoesNotExist as error:
            raise NotFound(f"No account {account_id}.") from error
        return rows.opened(self._vault.open(row.application_id, account_id, _FIELD, row.credentials))

    def configure(self, account: Account, change: RetentionWish) -> Account:
        """Change how much mail is kept; what is so already is no write. Raises NotFound, Stale."""
        for _ in range(_TRIES):
            stored = self.get(account.id)
            if stored is None:
                raise NotFound(f"No account {account.id}.")
            changed = change.applied(stored)
            if changed == stored:
                return stored
            changed = replace(changed, rev=self._next(stored.rev))
            if _update(stored, [*rows.set_window(changed), AccountRow.rev.set(changed.rev)]):
                return changed
        raise Stale(account.id)

    def transition(self, account: Account, state: SyncState) -> Account:
        if account.state == state:
            return account
        moved = replace(account, state=state, rev=self._next(account.rev))
        if not _update(account, rows.set_state(moved)):
            raise Stale(account.id)
        return moved

    def note_trouble(self, account: Account, trouble: Trouble | None) -> Account:
        if trouble == account.trouble:
            return account
        text = json.dumps(asdict(trouble)) if trouble else None
        _set_text(account.id, AccountRow.trouble, text, AccountRow.rev == account.rev)
        return replace(account, trouble=trouble)

    def note_frozen(self, account: Account, frozen: Sequence[FrozenRemoval]) -> Account:
        marks = tuple(frozen)
        if marks == account.frozen:
            return account
        _set_text(account.id, AccountRow.frozen, rows.marks(marks), _unchanged(account))
        return replace(account, frozen=marks)

    def _pointed(self, pk: str, sk: str) -> Account | None:
        try:
            pointer = AccountPointerRow.get(pk, sk, consistent_read=True)
        except AccountPointerRow.DoesNotExist:
            return None
        return self.get(pointer.account_id)

    @contextmanager
    def _all_or_nothing(self, account_id: str) -> Iterator[TransactWrite]:
        """Write what is added within together. Raises Stale if somebody else was quicker."""
        try:
            with TransactWrite(connection=transactions(self._settings)) as transaction:
                yield transaction
        except TransactWriteError as error:
            codes = {reason.code for reason in error.cancellation_reasons if reason}
            if codes.isdisjoint(_OVERTAKEN):
                raise
            raise Stale(account_id) from error

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
    marks = rows.marks(account.frozen)
    return AccountRow.frozen == marks if marks else AccountRow.frozen.does_not_exist()
