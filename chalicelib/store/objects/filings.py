"""Copies of sent mail on their way into Sent: rows of `mail` that leave by themselves."""

from __future__ import annotations

import time
from typing import Any

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.mail.filing import Filing, Stage
from chalicelib.store.aws.dynamo import Table, key

KEPT_SECONDS = 30 * 86_400
"""Longer than any queue delivers the job that looks after the copy."""

_SK = "S"


class FilingTable:
    """The port Filings."""

    def __init__(self, client: Any, settings: Settings, now: Clock = time.time) -> None:
        self._table = Table(client, f"{settings.table_prefix}-mail")
        self._now = now

    def get(self, account_id: str, name: str) -> Filing | None:
        """Return how far a copy has come, strongly consistent."""
        row = self._table.get(_pk(account_id, name), _SK)
        return Filing(Stage(row["st"]["S"]), row["e"]["S"] if "e" in row else "") if row else None

    def put(self, account_id: str, name: str, filing: Filing) -> None:
        row = key(_pk(account_id, name), _SK) | {"st": {"S": filing.stage.value}}
        row |= {"ttl": {"N": str(int(self._now()) + KEPT_SECONDS)}}
        self._table.write_many([row | ({"e": {"S": filing.end}} if filing.end else {})])


def _pk(account_id: str, name: str) -> str:
    return f"{account_id}#S#{name}"
