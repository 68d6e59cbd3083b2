"""Live syncs that take long, and whose syncs have taken long lately (table `work`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chalicelib.config import Settings
from chalicelib.store.aws.dynamo import Table, key
from chalicelib.store.values import Place

_PARTITION = "LIVE"
_SLOW = "SLOW"


class PlaceTable:
    """The port Places; a sync that is over soon and whose like were so, writes nothing here."""

    def __init__(self, client: Any, settings: Settings) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")

    def slow(self, tenants: Iterable[str], now: float) -> bool:
        """Tell whether any of these was crowded lately; may be a moment late, which halves the price."""
        rows = self._table.get_many([(_tenant(one), _SLOW) for one in tenants], consistent=False)
        return any(int(row["ttl"]["N"]) > now for row in rows)

    def note_slow(self, tenant: str, until: int) -> None:
        self._table.write_many([key(_tenant(tenant), _SLOW) | {"ttl": {"N": str(until)}}])

    def put(self, place: Place) -> None:
        tenants = {"application": {"S": place.application}, "server": {"S": place.server}}
        times = {"since": {"N": f"{place.since:.3f}"}, "ttl": {"N": str(place.until)}}
        self._table.write_many([key(_PARTITION, place.account_id) | tenants | times])

    def remove(self, account_id: str) -> None:
        self._table.write_many(deletes=[(_PARTITION, account_id)])

    def all(self) -> list[Place]:
        return [
            Place(
                account_id=row["sk"]["S"],
                application=row["application"]["S"],
                server=row["server"]["S"],
                since=float(row["since"]["N"]),
                until=int(row["ttl"]["N"]),
            )
            for page in self._table.pages(_PARTITION)
            for row in page
        ]


def _tenant(name: str) -> str:
    return f"CROWD#{name}"
