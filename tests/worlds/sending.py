"""Who sends, and when."""

from __future__ import annotations

from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.sending.compose import Stamp

ACCOUNT = Account(
    id="acc", application_id="app", email_address="mira@kestrel.example", name="Mira Ökafor", provider="imap",
    state=SyncState.RUNNING, linked_at=0, scopes="email", history_days=30,
)  # fmt: skip
STAMP = Stamp("<own@kestrel.example>", 1671186614)
