"""Landmarks of a mailbox: UID, size and date of the newest messages brought, kept with the cursor.

They tell whether UIDs still mean what they meant when a mailbox looks as it did before. A backup that was put
back gives them to other mail, while the UIDVALIDITY stands (RFC 3501 section 2.3.1.1 forbids it).
"""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.domain.remote import RemoteMessage
from chalicelib.providers.imap.fetch.mailbox import metas, split_id
from chalicelib.providers.imap.protocol.session import Session

KEPT = 8


def noted(marks: str, arrived: Iterable[RemoteMessage]) -> str:
    """Return the landmarks with those of new messages, newest first."""
    fresh = {split_id(one.id)[1]: f"{one.size}:{one.received_at}" for one in arrived if one.whole}
    newest = sorted((_read(marks) | fresh).items(), reverse=True)[:KEPT]
    return ",".join(f"{uid}:{facts}" for uid, facts in newest)


def agree(session: Session, marks: str) -> bool | None:
    """Tell whether the landmarks that are still there are as they were; None if none is."""
    expected = _read(marks)
    found = {uid: f"{meta.size}:{meta.received_at}" for uid, meta in metas(session, sorted(expected)).items()}
    return all(expected[uid] == facts for uid, facts in found.items()) if found else None


def _read(marks: str) -> dict[int, str]:
    pairs = (mark.partition(":") for mark in marks.split(",") if mark)
    return {int(uid): facts for uid, _, facts in pairs}
