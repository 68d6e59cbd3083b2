"""Applications, accounts, and what gives access to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.accounts.connection import Proof
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.accounts.login import Login
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.domain.accounts.trouble import Trouble
from chalicelib.store.values import (
    Admission,
    Grant,
)


class Accounts(Protocol):
    """Connected accounts (table `core`)."""

    def get(self, account_id: str) -> Account | None:
        """Return an account, None if there is none."""

    def by_email(self, application_id: str, email: str) -> Account | None:
        """Return the application's account of that address (compared in lower case)."""

    def of_application(self, application_id: str) -> list[Account]:
        """Return every account of an application, oldest first."""

    def by_login(self, application_id: str, login: Login) -> Account | None:
        """Return the application's account of a mailbox, however its user name is spelled."""

    def create(self, account: Account, settings: MailSettings) -> Account:
        """Store a new account with sealed credentials. Raises Stale if its address or login is taken."""

    def reconnect(self, stored: Account, renewed: Account, settings: MailSettings) -> Account:
        """Replace the credentials and what else is new, and begin again from `initializing`.

        Raises Stale if the account is not as it was read any more or another one has the login.
        """

    def settings(self, account_id: str) -> MailSettings:
        """Unseal and return the credentials."""

    def configure(self, account: Account, change: RetentionWish) -> Account:
        """Change how much mail is kept; what is so already is no write. Raises Stale."""

    def transition(self, account: Account, state: SyncState) -> Account:
        """Move to a state, conditional on `rev`; the same state is no write. Raises Stale."""

    def note_trouble(self, account: Account, trouble: Trouble | None) -> Account:
        """Remember what keeps the account from syncing (None forgets it). Raises Stale."""

    def note_frozen(self, account: Account, frozen: Sequence[FrozenRemoval]) -> Account:
        """Remember removals that wait, in place of those of `account`. Raises Stale."""


class Applications(Protocol):
    """Customers' programs (table `core`)."""

    def create(self, application: Application, secret: str) -> None:
        """Store an application and its sealed client secret."""

    def update(self, application: Application) -> None:
        """Replace name, redirect URIs, icon and history window."""

    def get(self, application_id: str) -> Application | None:
        """Return an application, None if there is none."""

    def secrets(self, application_id: str, now: int) -> list[str]:
        """Return the client secrets that are valid, the older one first; they sign webhooks."""

    def rotate(self, application_id: str, newest: str, secret: str, until: int) -> None:
        """Replace the newest client secret, which stays valid until then (Unix seconds).

        Raises Stale if it is not the newest any more.
        """

    def end_overlap(self, application_id: str, newest: str) -> None:
        """Have no secret but the newest be valid. Raises Stale if it is not the newest any more."""

    def verify(self, application_id: str, secret: str) -> Admission | None:
        """Return the application if the client secret is valid; the same work if there is none."""


class Tokens(Protocol):
    """Access tokens, stored as keyed hashes (table `core`)."""

    def issue(self, account_id: str, epoch: int) -> str:
        """Return a new access token of an account's epoch; it is shown this once."""

    def grant_of(self, token: str) -> Grant | None:
        """Return what a token gives, None if there is no such token."""


class Codes(Protocol):
    """One-time codes, stored as keyed hashes, each with a sealed proof (table `work`)."""

    def issue(self, proof: Proof) -> str:
        """Return a code good for one use within 15 minutes by the application of the proof."""

    def redeem(self, application_id: str, code: str) -> Proof | None:
        """Return the proof and spend the code; None if unknown, spent, expired or foreign."""

    def decoy(self) -> str:
        """Return what looks like a code and is none."""
