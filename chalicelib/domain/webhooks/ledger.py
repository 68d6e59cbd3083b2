"""Questions to the ledger of notifications, and the answer to the one about what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.domain.webhooks.delivery import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Deliveries begun in a span of Unix time, of one state or (None) of all."""

    since: int
    until: int
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A span of Unix time, of one account or (None) of all; `failed_only` leaves out what was accepted."""

    since: int
    until: int
    account_id: str | None = None
    failed_only: bool = False

    def takes(self, account_id: str) -> bool:
        """Tell whether an account is meant."""
        return self.account_id in (None, account_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What an endpoint has not heard.

    `outages` are spans (Unix time) in which nothing was sent, `failed` notifications that were given
    up, `behind` the number of log entries by account that are still to come, those included that the
    endpoint does not ask for.
    """

    outages: Sequence[tuple[int, int]]
    failed: Sequence[Delivery]
    behind: Sequence[tuple[str, int]]
