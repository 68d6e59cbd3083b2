"""What the store says when it could not do something."""

from __future__ import annotations

from collections.abc import Sequence

_CONFLICTS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class Overloaded(Exception):
    """DynamoDB kept refusing part of a request; repeat it later."""


class Cancelled(Exception):
    """A transaction was cancelled; `codes` has one reason per action ("None" if it was fine)."""

    def __init__(self, codes: Sequence[str]) -> None:
        super().__init__(", ".join(codes))
        self.codes = list(codes)

    @property
    def conflict(self) -> bool:
        """Whether another request was merely in the way."""
        return not _CONFLICTS.isdisjoint(self.codes)
