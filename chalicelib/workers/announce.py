"""Stream of `log`: new entries wake the webhooks of their application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.services import services


def parse(record: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the account and the sequence number of a new entry, None for anything else."""
    return services().logged(record)


def run(account_id: str, seqs: Sequence[int]) -> None:
    """Have every webhook of the account's application told."""
    account = services().accounts.get(account_id)
    if account is not None:
        services().announce(account, min(seqs))
