"""The change log, and the objects it tells of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from chalicelib.domain.log.delta import Change, Delta, ObjectKey


class DeltaLog(Protocol):
    """The gapless change log of each account (table `log`)."""

    def append(self, account_id: str, changes: Sequence[Change], at: int) -> None:
        """Log each change once, in order; a revision already logged is left out.

        Safe under duplicate, reordered and concurrent calls.
        """

    def head(self, account_id: str) -> tuple[int, int]:
        """Return the newest sequence number and its time (0, 0 for an empty log), strongly consistent."""

    def since(self, account_id: str, seq: int, limit: int) -> list[Delta]:
        """Return up to about `limit` entries after `seq`, in order, never past a hole.

        Raises CursorTooOld if entry seq+1 has been dropped already, or if this log never had `seq`.
        """


class ChangeLog(DeltaLog, Protocol):
    """The same log for those who wait for it, look back in it or repair it."""

    def peek(self, account_id: str) -> int:
        """Return the newest sequence number, perhaps a moment late: half a read unit."""

    def places(self, account_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return `head` of several accounts; those with an empty log are absent."""

    def before(self, account_id: str, moment: int) -> tuple[int, int]:
        """Return the last entry logged at or before a moment and its time, (0, 0) if there is none.

        Raises CursorTooOld if what followed is no longer kept.
        """

    def heads(self, account_id: str, names: Iterable[ObjectKey]) -> dict[ObjectKey, Change]:
        """Return the change of each object that was logged last, as far as it is kept."""

    def heads_after(self, account_id: str, place: str) -> tuple[list[Change], str]:
        """Return some heads behind a place ("" is the start) and the place behind them ("" at the end)."""


class Objects(Protocol):
    """Every public object of an account but the account itself (table `mail`)."""

    def after(self, account_id: str, place: str) -> tuple[list[Change], str]:
        """Return some objects behind a place ("" is the start) and the place behind them ("" at the end)."""

    def existing(self, account_id: str, names: Iterable[ObjectKey]) -> set[ObjectKey]:
        """Return those that are stored, strongly consistent; kinds that lie elsewhere count as stored."""


class Reconciliations(Protocol):
    """Accounts whose log is being compared with their objects, and how far (table `work`)."""

    def begin(self, account_ids: Iterable[str]) -> None:
        """Enter accounts; those under way go on where they are."""

    def under_way(self) -> dict[str, str]:
        """Return the place reached in each account."""

    def save(self, account_id: str, place: str) -> None:
        """Note the place reached; the empty one means that the account is done."""
