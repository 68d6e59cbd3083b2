"""Progress through one mailbox."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from chalicelib.domain.remote import Cursor
from chalicelib.errors import CursorExpired
from chalicelib.providers.imap.folders.folders import token
from chalicelib.providers.imap.protocol.session import Opened

_VERSION = 1
_DAY = 86_400
_LEAD = 5_000  # so many UIDs the listing of the history may be ahead of its contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Messages with low <= UID < uidnext are synced; those below `low` are history still to come.

    `exists` counts the messages below `uidnext` when the mailbox was last opened, and `below` is an
    estimate of those below `low`. Flag changes up to `modseq` are known, 0 if they are not counted.
    Of the history only what was received from `since` on is wanted, and only what was received before
    `until` (0: no bound) where a second walk fetches what a narrower window had left out.

    Large messages of the history come with their beginning first. From `whole` on everything is here in
    full; below it, down to `low`, the rest of the large ones is still to come. `marks` are its landmarks.
    """

    uidvalidity: int
    uidnext: int
    modseq: int
    exists: int
    low: int
    below: int
    since: int = 0
    until: int = 0
    whole: int = 1
    marks: str = ""

    @property
    def listed(self) -> bool:
        """Whether every message of the history is here, at least with its beginning."""
        return self.low <= 1

    @property
    def complete(self) -> bool:
        """Whether nothing of the history remains."""
        return self.listed and self.whole <= 1

    @property
    def contents_are_due(self) -> bool:
        """Whether large messages of the history should come as a whole before more of it comes."""
        return not self.complete and (self.listed or self.whole - self.low > _LEAD)

    @property
    def token(self) -> str:
        """The token the mailbox has as long as nothing has changed since."""
        return token(self.uidvalidity, self.uidnext, self.exists, self.modseq)

    def falls_short(self, since: int) -> bool:
        """Whether mail that is now wanted was passed over."""
        return since + _DAY < self.since

    def dump(self) -> Cursor:
        """Return this progress as an opaque cursor."""
        return Cursor(json.dumps({"v": _VERSION, **asdict(self)}, separators=(",", ":")))


def beginning(opened: Opened, since: int) -> Progress:
    """Return the progress of somebody who has nothing yet, `below` as if all of it were wanted."""
    low = max(2, opened.uidnext)  # even an empty mailbox is compared once with what we hold of it
    return Progress(
        uidvalidity=opened.uidvalidity,
        uidnext=opened.uidnext,
        modseq=opened.modseq,
        exists=opened.exists,
        low=low,
        below=opened.exists,
        since=since,
        whole=low,
    )


def load(cursor: Cursor) -> Progress:
    """Read a cursor. Raises CursorExpired if another version wrote it."""
    fields = json.loads(cursor)
    if fields.pop("v", None) != _VERSION:
        raise CursorExpired("The cursor is of another version.")
    return Progress(**fields)


def narrowed(cursor: Cursor, since: int) -> Cursor:
    """Return the cursor with mail from before `since` passed over; one of another version stays as it is."""
    try:
        progress = load(cursor)
    except CursorExpired:
        return cursor
    return replace(progress, since=max(progress.since, since)).dump()
