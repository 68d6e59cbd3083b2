"""Repairs a log that has missed a change for good.

The log is made from table streams. Should a stream record be lost (its function failed for longer than
records are kept), the object and the head of the object in the log differ. Both are walked through,
page by page: a stored object with a newer revision than its head is logged as created or modified, a
head whose object is gone is logged as deleted; heads are kept as long as their objects. Whatever the
stream still brings of it afterwards has a revision that the log knows already, so nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.log.delta import Change, Operation

if TYPE_CHECKING:
    from chalicelib.store.ports.accounts import Accounts
    from chalicelib.store.ports.log import ChangeLog, Objects

STREAM_SECONDS = 600
"""What changed so recently is left to the stream."""

MARGIN_SECONDS = 60
"""By how much clocks may differ: a repaired deletion is dated back, behind what else is under way."""

SLOT_SECONDS = 300
_SLOTS = 86400 // SLOT_SECONDS
_ACCOUNT, _OBJECTS, _HEADS = "account", "objects ", "heads "


@dataclass(frozen=True, slots=True)
class Reconciling:
    """Compares the log of an account with its objects."""

    log: ChangeLog
    objects: Objects
    accounts: Accounts

    def step(self, account_id: str, place: str, now: float) -> str:
        """Compare one page behind a place ("" is the start); return the place behind it ("" when done)."""
        if place.startswith(_HEADS):
            heads, behind = self.log.heads_after(account_id, place.removeprefix(_HEADS))
            lost = self._deletions(account_id, heads, now)
            following = _HEADS + behind if behind else ""
        elif place.startswith(_OBJECTS):
            objects, behind = self.objects.after(account_id, place.removeprefix(_OBJECTS))
            lost = self._changes(account_id, objects, now)
            following = _OBJECTS + behind if behind else _HEADS
        else:
            lost = self._account_change(account_id, now)
            following = _OBJECTS
        if lost:
            self.log.append(account_id, lost, int(now))
        return following

    def _changes(self, account_id: str, objects: Sequence[Change], now: float) -> list[Change]:
        settled = [change for change in objects if change.rev <= _newest(now)]
        heads = self.log.heads(account_id, [change.name for change in settled])
        return [
            replace(change, event=_event(heads.get(change.name)))
            for change in settled
            if change.name not in heads or change.rev > heads[change.name].rev
        ]

    def _deletions(self, account_id: str, heads: Sequence[Change], now: float) -> list[Change]:
        standing = [head for head in heads if head.event is not Operation.DELETE and head.kind != _ACCOUNT]
        stored = self.objects.existing(account_id, [head.name for head in standing])
        rev = int((now - MARGIN_SECONDS) * 1000)
        return [
            replace(head, event=Operation.DELETE, rev=max(head.rev + 1, rev))
            for head in standing
            if head.name not in stored and not _left_by_itself(head, now)
        ]

    def _account_change(self, account_id: str, now: float) -> list[Change]:
        account = self.accounts.get(account_id)
        if account is None or account.rev > _newest(now):
            return []
        told = self.log.heads(account_id, [(_ACCOUNT, account_id)]).get((_ACCOUNT, account_id))
        if told and dict(told.attributes).get("sync_state") == account.state.value:
            return []
        return [_state(account, _event(told))]


def is_due(account_id: str, now: float) -> bool:
    """Tell whether an account's turn has come: once a day, each account at its own time."""
    return (int(now) // SLOT_SECONDS) % _SLOTS == crc32(account_id.encode()) % _SLOTS


def _state(account: Account, event: Operation) -> Change:
    return Change(
        account_id=account.id,
        kind=_ACCOUNT,
        id=account.id,
        event=event,
        rev=account.rev,
        attributes=(("sync_state", account.state.value), ("application_id", account.application_id)),
    )


def _event(head: Change | None) -> Operation:
    return Operation.CREATE if head is None or head.event is Operation.DELETE else Operation.MODIFY


def _newest(now: float) -> int:
    """Revisions are milliseconds: the newest that is not left to the stream."""
    return int((now - STREAM_SECONDS) * 1000)


def _left_by_itself(head: Change, now: float) -> bool:
    """Whether the object has merely reached the end of the history window, which is no delta."""
    return 0 < head.expires_at <= now
