"""Which account a mailbox is: one login is one account of an application, whatever address is claimed.

The address of an account never changes by connecting. Its login changes only if the application itself names
the account, in a request that bears the client secret: a browser may send any id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.auth import refusals
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.accounts.connection import Connection
from chalicelib.domain.accounts.login import Login
from chalicelib.domain.accounts.login import login_of as _login_of

if TYPE_CHECKING:
    from chalicelib.store.ports.accounts import Accounts


def target(accounts: Accounts, wanted: Connection, *, trusted: bool) -> Account | None:
    """Return the account that a connection renews, None if it makes a new one. Raises ConnectFailed."""
    mine = accounts.by_login(wanted.application_id, wanted.login)
    if wanted.reauth_account_id is not None:
        return _named(accounts, wanted, wanted.reauth_account_id, mine, trusted)
    holder = accounts.by_email(wanted.application_id, wanted.email_address)
    if holder and login_of(accounts, holder).key != wanted.login.key:
        raise refusals.another_login()
    return mine or holder


def login_of(accounts: Accounts, account: Account) -> Login:
    """Return an account's login, of one that was connected by an earlier version from its settings."""
    return account.login or _login_of(accounts.settings(account.id).imap)


def _named(
    accounts: Accounts, wanted: Connection, account_id: str, mine: Account | None, trusted: bool
) -> Account:
    account = accounts.get(account_id)
    if account is None or not _is_claimed(account, wanted):
        raise refusals.unknown_account()
    same = login_of(accounts, account).key == wanted.login.key
    if not (same or trusted):
        raise refusals.unknown_account()
    if mine and mine.id != account.id:
        raise refusals.another_account()
    return account


def _is_claimed(account: Account, wanted: Connection) -> bool:
    return (
        account.application_id == wanted.application_id
        and account.email_address.lower() == wanted.email_address.lower()
    )
