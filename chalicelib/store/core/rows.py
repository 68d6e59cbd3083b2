"""The rows of the table `core` and their keys."""

from __future__ import annotations

from pynamodb.attributes import BinaryAttribute, ListAttribute, NumberAttribute, UnicodeAttribute

from chalicelib.domain.accounts.login import Login
from chalicelib.store.aws.connection import Row, RowMeta

META = "META"
ACCOUNT_PREFIX = "ACCT#"
WEBHOOK_PREFIX = "WEBHOOK#"


class CoreRow(Row):
    """Any row of `core`."""

    class Meta(RowMeta):
        """The table's settings."""

        table = "core"


class AccountRow(CoreRow):
    """An account; readers of the table's stream rely on these attribute names.

    `folder_days`, `trouble` and `frozen` are JSON.
    """

    kind = UnicodeAttribute(default="account")
    id = UnicodeAttribute()
    application_id = UnicodeAttribute()
    email_address = UnicodeAttribute()
    name = UnicodeAttribute()
    provider = UnicodeAttribute()
    state = UnicodeAttribute()
    linked_at = NumberAttribute()
    scopes = UnicodeAttribute()
    history_days = NumberAttribute(null=True)
    folder_days = UnicodeAttribute(null=True)
    rev = NumberAttribute()
    host = UnicodeAttribute(default="")
    credentials = BinaryAttribute(legacy_encoding=False)
    server = UnicodeAttribute(null=True)
    user = UnicodeAttribute(null=True)
    proved_at = NumberAttribute(default=0)
    epoch = NumberAttribute(default=0)
    trouble = UnicodeAttribute(null=True)
    frozen = UnicodeAttribute(null=True)


class AccountPointerRow(CoreRow):
    """Leads to an account: from its address, its login, or its place in the application's list."""

    kind = UnicodeAttribute(default="account_pointer")
    account_id = UnicodeAttribute()


class ApplicationRow(CoreRow):
    """An application; its secret is sealed, and hashed for comparison."""

    kind = UnicodeAttribute(default="application")
    id = UnicodeAttribute()
    name = UnicodeAttribute()
    redirect_uris: ListAttribute[str] = ListAttribute()
    icon_url = UnicodeAttribute()
    history_days = NumberAttribute(null=True)
    secret = BinaryAttribute(legacy_encoding=False)
    secret_hash = UnicodeAttribute()
    previous_secret = BinaryAttribute(legacy_encoding=False, null=True)
    previous_hash = UnicodeAttribute(null=True)
    previous_until = NumberAttribute(null=True)


class WebhookRow(CoreRow):
    """A webhook; `created_at` is in microseconds and only orders the list; `history` is JSON."""

    kind = UnicodeAttribute(default="webhook")
    id = UnicodeAttribute()
    application_id = UnicodeAttribute()
    callback_url = UnicodeAttribute()
    triggers: ListAttribute[str] = ListAttribute()
    state = UnicodeAttribute()
    created_at = NumberAttribute()
    activated_at = NumberAttribute(null=True)
    history = UnicodeAttribute(null=True)


class TokenRow(CoreRow):
    """An access token, found by its keyed hash only."""

    kind = UnicodeAttribute(default="token")
    account_id = UnicodeAttribute()
    created_at = NumberAttribute()
    epoch = NumberAttribute(default=0)


class KeyRow(CoreRow):
    """A data key of an application, wrapped by KMS."""

    kind = UnicodeAttribute(default="key")
    wrapped = BinaryAttribute(legacy_encoding=False)


def application_pk(application_id: str) -> str:
    """Return the partition of an application."""
    return f"APP#{application_id}"


def account_pk(account_id: str) -> str:
    """Return the partition of an account."""
    return f"ACCT#{account_id}"


def email_pk(application_id: str, email: str) -> str:
    """Return the partition that keeps an address unique within an application."""
    return f"EMAIL#{application_id}#{email.lower()}"


def login_pk(application_id: str, login: Login) -> str:
    """Return the partition that keeps a mailbox one account of an application."""
    return f"LOGIN#{application_id}#{login.key}"


def listed_sk(linked_at: int, account_id: str) -> str:
    """Return an account's place in its application's list: oldest first."""
    return f"{ACCOUNT_PREFIX}{linked_at:010d}#{account_id}"
