"""Budgets as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chalicelib.domain.sync.allowance import HISTORY_PERCENT

if TYPE_CHECKING:
    from chalicelib.domain.sync.backfill import Backfill
    from chalicelib.domain.sync.budget import AccountBudget, Budget, HostBudget


def dump(accounts: Sequence[AccountBudget], hosts: Sequence[HostBudget], resets_at: int) -> dict[str, Any]:
    """Return the answer of GET /a/{client_id}/budgets."""
    return {
        "resets_at": resets_at,
        "accounts": [_account(one) for one in accounts],
        "hosts": [_host(one) for one in hosts],
    }


def _account(one: AccountBudget) -> dict[str, Any]:
    return {
        "account_id": one.account_id,
        "host": one.host,
        **_bytes(one.budget),
        "history": _history(one.backfill),
    }


def _host(one: HostBudget) -> dict[str, Any]:
    return {
        "host": one.host,
        **_bytes(one.budget),
        "history_running": one.running,
        "history_places": one.places,
        "slow_until": one.slow_until or None,
    }


def _bytes(budget: Budget) -> dict[str, Any]:
    return {
        "state": budget.state,
        "received_bytes": budget.received,
        "limit_bytes": budget.limit or None,
        "history_limit_bytes": budget.limit * HISTORY_PERCENT // 100 or None,
    }


def _history(entry: Backfill | None) -> dict[str, Any]:
    if entry is None:
        return {"stage": "complete", "since": None, "until": None}
    return {"stage": entry.stage.value, "since": int(entry.since), "until": entry.until or None}
