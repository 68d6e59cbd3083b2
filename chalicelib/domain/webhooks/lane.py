"""How far one endpoint has been told of one account."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The way of one account's log to one endpoint; at most one delivery is under way on it.

    `told` is the last entry that is settled, `open` the delivery under way ("" if none). `epoch` is
    the webhook's `activated_at`: a lane of an earlier one begins anew. A replay is a lane of its own
    (`replay` names it) that ends at `upto`; while `since` and `until` (Unix seconds) are set, its
    bounds have yet to be looked up in the log.
    """

    webhook_id: str
    application_id: str
    account_id: str
    told: int
    epoch: int
    open: str = ""
    replay: str = ""
    upto: int | None = None
    since: int | None = None
    until: int | None = None

    @property
    def key(self) -> str:
        """Its name among the lanes of its endpoint."""
        return f"{self.account_id}#{self.replay}" if self.replay else self.account_id
