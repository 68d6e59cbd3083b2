"""Access tokens: rows of `core` found by a keyed hash; the text is never stored."""

from __future__ import annotations

import secrets
import time

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.store.aws.connection import bind
from chalicelib.store.core.rows import TokenRow
from chalicelib.store.core.vault import keyed_hash
from chalicelib.store.values import Grant

_LENGTH = 30
_SK = "T"


class TokenTable:
    """The port Tokens."""

    def __init__(self, settings: Settings, now: Clock = time.time) -> None:
        bind(settings)
        self._pepper = settings.pepper
        self._now = now

    def issue(self, account_id: str, epoch: int) -> str:
        token = random_text()
        row = TokenRow(self._pk(token), _SK, account_id=account_id, epoch=epoch, created_at=int(self._now()))
        row.save()
        return token

    def grant_of(self, token: str) -> Grant | None:
        """Return what a token gives."""
        try:
            row = TokenRow.get(self._pk(token), _SK, consistent_read=True)
        except TokenRow.DoesNotExist:
            return None
        return Grant(row.account_id, int(row.epoch))

    def _pk(self, token: str) -> str:
        return f"TOK#{keyed_hash(self._pepper, token)}"


def random_text() -> str:
    """Return a secret that nobody can guess."""
    return secrets.token_urlsafe(_LENGTH)[:_LENGTH]
