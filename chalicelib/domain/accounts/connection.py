"""What a mailbox is to be connected with, and the proof that it can be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from chalicelib.domain.accounts.login import Login, login_of
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.accounts.retention_wish import RetentionWish


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What an end user's mailbox is to be connected with; nothing of it has been proven."""

    application_id: str
    name: str
    email_address: str
    scopes: str
    settings: MailSettings
    reauth_account_id: str | None = None
    window: RetentionWish = field(default_factory=RetentionWish)

    @property
    def login(self) -> Login:
        """Return the login that says whose mailbox it is."""
        return login_of(self.settings.imap)

    def spelled(self, login: Login) -> Connection:
        """Return the same with the user name as another login spells it."""
        imap = replace(self.settings.imap, username=login.user)
        return replace(self, settings=replace(self.settings, imap=imap))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Both mail servers have taken these settings, `at` that Unix millisecond.

    `provider` is what the mailbox turned out to be. `trusted` says that the application itself asked, with
    its client secret, and not somebody's browser.
    """

    wanted: Connection
    provider: str
    at: int
    trusted: bool = False
