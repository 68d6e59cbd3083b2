"""Folders that have to be walked anew: at once now and then, after a rest if it happens again and again.

Some servers give a mailbox another UIDVALIDITY each time it is opened. Each time all of it has to be fetched
again, so such a folder is left alone for a while, the longer the more often, and the account says why.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from chalicelib import bounds
from chalicelib.clock import Clock
from chalicelib.domain.remote import Cursor
from chalicelib.errors import ProviderError
from chalicelib.sync.core.leased_cursors import LeasedCursors

RENEWALS = "renewals"
"""Where they lie beside the cursors, as the cursor of a folder that does not exist."""

_FIRST_REST_SECONDS = 600
_FORGOTTEN_SECONDS = 2 * bounds.RENEWAL_REST_SECONDS


@dataclass(frozen=True, slots=True)
class _Renewed:
    """How often a folder began anew and had to rest, when it did last, and until when it rests (0: not)."""

    times: int = 0
    rests: int = 0
    at: int = 0
    until: int = 0


class Renewals:
    """How often the folders of one account began anew: during one stay, and lately. `own` takes the lease."""

    def __init__(self, hold: LeasedCursors, now: Clock, own: Callable[[], object]) -> None:
        self._hold = hold
        self._now = now
        self._own = own
        self._here: Counter[str] = Counter()

    def check(self, folder_id: str) -> None:
        """Raise ProviderError while a folder rests."""
        renewed = self._read().get(folder_id, _Renewed())
        if self._now() < renewed.until:
            raise _restless(renewed)

    def note(self, folder_id: str) -> None:
        """Count that a folder is to begin anew. Raises ProviderError if it has to rest first."""
        noted = self._read()
        enough = self._here[folder_id] >= bounds.RENEWALS_AT_ONCE
        after = _after(noted.get(folder_id, _Renewed()), int(self._now()), enough=enough)
        self._here[folder_id] += 1
        noted[folder_id] = after
        self._own()
        rows = {id: asdict(one) for id, one in noted.items()}
        self._hold.save(RENEWALS, Cursor(json.dumps(rows, separators=(",", ":"))))
        if after.until:
            raise _restless(after)

    def _read(self) -> dict[str, _Renewed]:
        late = self._now() - _FORGOTTEN_SECONDS
        rows = json.loads(self._hold.saved.get(RENEWALS, "{}"))
        noted = {id: _Renewed(**row) for id, row in rows.items()}
        return {id: one for id, one in noted.items() if one.at > late}


def _after(before: _Renewed, now: int, *, enough: bool) -> _Renewed:
    """Return what becomes of a folder whose cursor is worth nothing, once again in this stay if `enough`."""
    if not enough and (before.times < bounds.RENEWALS or before.until):
        return replace(before, times=before.times + 1, at=now, until=0)
    rest = min(_FIRST_REST_SECONDS * 2 ** min(before.rests, 10), bounds.RENEWAL_REST_SECONDS)
    return replace(before, rests=before.rests + 1, at=now, until=now + rest)


def _restless(renewed: _Renewed) -> ProviderError:
    return ProviderError(
        f"The mail server has numbered a folder anew {renewed.times + 1} times of late; each time all of it "
        "has to be fetched again. It is left alone for a while."
    )
