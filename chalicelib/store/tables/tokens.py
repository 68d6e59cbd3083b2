"""Access tokens and one-time codes: rows of `core` found by a keyed hash; the text is never stored."""

from __future__ import annotations

import secrets
import time

from pynamodb.exceptions import DeleteError

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.store.connection import bind
from chalicelib.store.tables.core import CodeRow, TokenRow
from chalicelib.store.vault import keyed_hash

CODE_SECONDS = 15 * 60
_LENGTH = 30
_SK = "T"


class TokenTable:
    """The port Tokens."""

    def __init__(self, settings: Settings, now: Clock = time.time) -> None:
        bind(settings)
        self._pepper = settings.pepper
        self._now = now

    def issue(self, account_id: str) -> str:
        """Return a new access token; it is shown this once."""
        token = _random_text()
        TokenRow(self._token_pk(token), _SK, account_id=account_id, created_at=int(self._now())).save()
        return token

    def account_of(self, token: str) -> str | None:
        """Return the account id of a live token."""
        try:
            return TokenRow.get(self._token_pk(token), _SK, consistent_read=True).account_id
        except TokenRow.DoesNotExist:
            return None

    def issue_code(self, application_id: str, account_id: str) -> str:
        """Return a code good for one use within 15 minutes."""
        code = _random_text()
        CodeRow(
            self._code_pk(code),
            _SK,
            application_id=application_id,
            account_id=account_id,
            expires_at=int(self._now()) + CODE_SECONDS,
        ).save()
        return code

    def redeem_code(self, application_id: str, code: str) -> str | None:
        """Return the account id and spend the code; None if unknown, spent, expired or foreign."""
        try:
            row = CodeRow.get(self._code_pk(code), _SK, consistent_read=True)
            # Only one of two concurrent redeemers can delete the row.
            row.delete(
                condition=(CodeRow.application_id == application_id) & (CodeRow.expires_at > int(self._now()))
            )
        except CodeRow.DoesNotExist:
            return None
        except DeleteError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            return None
        return row.account_id

    def _token_pk(self, token: str) -> str:
        return f"TOK#{keyed_hash(self._pepper, token)}"

    def _code_pk(self, code: str) -> str:
        return f"CODE#{keyed_hash(self._pepper, code)}"


def _random_text() -> str:
    return secrets.token_urlsafe(_LENGTH)[:_LENGTH]
