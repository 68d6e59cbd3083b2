"""Sent mail whose copy the mail server does not take: counted, and then told among what was set aside."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.clock import Clock
from chalicelib.domain.accounts.trouble import REASON_CHARACTERS
from chalicelib.domain.mail.filing import filing_key
from chalicelib.domain.remote import RemoteId
from chalicelib.domain.sync.quarantine import TRIES, Cause, Quarantined, QuarantineState, entry_id
from chalicelib.store.ports.sync import Quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfiled:
    """What an account's owner is told of such mail."""

    quarantine: Quarantine
    account_id: str
    now: Clock

    def note(self, folder_id: str, raw: bytes, reason: str) -> None:
        """Count an attempt that failed; the last of a few is told."""
        fresh = self._entry(folder_id, raw)
        old = self.quarantine.get(self.account_id, fresh.id)
        attempts = (old or fresh).attempts + 1
        entry = replace(
            old or fresh,
            reason=f"The copy of a sent mail could not be filed. {reason}"[:REASON_CHARACTERS],
            state=QuarantineState.HELD if attempts >= TRIES else QuarantineState.SUSPECT,
            attempts=attempts,
            last_at=fresh.last_at,
        )
        self.quarantine.change(old, entry)

    def clear(self, folder_id: str, raw: bytes) -> None:
        """Take back what was told of a mail: its copy is where it belongs, or nobody wants it any more."""
        if old := self.quarantine.get(self.account_id, self._entry(folder_id, raw).id):
            self.quarantine.change(old, None)

    def _entry(self, folder_id: str, raw: bytes) -> Quarantined:
        name, now = RemoteId(filing_key(raw)), int(self.now())
        return Quarantined(
            id=entry_id(self.account_id, folder_id, name),
            account_id=self.account_id,
            folder_id=folder_id,
            remote_id=name,
            cause=Cause.FILING,
            reason="",
            state=QuarantineState.SUSPECT,
            attempts=0,
            first_at=now,
            last_at=now,
        )
