"""A customer's program, which owns accounts and webhooks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A customer's program: owns accounts and webhooks.

    `history_days` of mail are kept of each account, 0 is everything, None as the deployment has it.
    """

    id: str
    name: str
    redirect_uris: tuple[str, ...] = ()
    icon_url: str = ""
    history_days: int | None = None
