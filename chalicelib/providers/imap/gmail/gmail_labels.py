"""Gmail's labels: mailboxes in LIST, words in X-GM-LABELS, and what leads from one to the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.remote import Collection
from chalicelib.errors import ProviderError
from chalicelib.providers.imap.folders.folders import listing
from chalicelib.providers.imap.folders.roles import Listed, display_name
from chalicelib.providers.imap.protocol.session import Session

_SYNCED = ("all", "spam", "trash")
_BY_ATTRIBUTE = {
    "\\ALL": "all",
    "\\DRAFTS": "drafts",
    "\\FLAGGED": "starred",
    "\\IMPORTANT": "important",
    "\\JUNK": "spam",
    "\\SENT": "sent",
    "\\TRASH": "trash",
}
_WORDS = {
    "drafts": b"\\Draft",
    "important": b"\\Important",
    "inbox": b"\\Inbox",
    "sent": b"\\Sent",
    "spam": b"\\Spam",
    "starred": b"\\Starred",
    "trash": b"\\Trash",
}
_ROLES = {word.upper(): role for role, word in _WORDS.items()} | {
    b"\\DRAFTS": "drafts",
    b"\\FLAGGED": "starred",
    b"\\JUNK": "spam",
}
_PREFIX = re.compile(r"\A\[(Gmail|Google Mail)\]/(?=.)")


@dataclass(frozen=True, slots=True)
class Labels:
    """Which mailbox has which role."""

    by_role: Mapping[str, str]

    def read(self, words: Iterable[Any]) -> tuple[str, ...]:
        """Return X-GM-LABELS as ids of collections, sorted.

        A star is a flag already, and where a message lies is known from there; neither counts as a label.
        """
        found = {self._collection(word) for word in words if isinstance(word, bytes)}
        return tuple(sorted(id for id in found if id))

    def written(self, ids: Iterable[str]) -> bytes:
        """Return ids of collections as a list for STORE."""
        roles = {id: role for role, id in self.by_role.items()}
        words = (_WORDS[roles[id]] if roles.get(id) in _WORDS else _quoted(id) for id in ids)
        return b"(" + b" ".join(words) + b")"

    def _collection(self, word: bytes) -> str:
        role = _ROLES.get(word.upper())
        if role is None:
            return word.decode("latin-1")
        return "" if role == "starred" or role in _SYNCED else self.by_role.get(role, "")


def gmail_collections(session: Session) -> tuple[list[Collection], Labels]:
    """Return what is synced, All Mail first, then the labels in the server's order.

    Raises ProviderError with the step `mailbox` if All Mail is not shown to IMAP programs.
    """
    found = [_collection(entry, state) for entry, state in listing(session)[1]]
    by_role = {one.role: one.id for one in found if one.role}
    if "all" not in by_role:
        raise ProviderError(
            'Gmail hides All Mail. Tick "Show in IMAP" for it under Settings, Labels.', step="mailbox"
        )
    shown = [one for one in found if one.role != "starred"]
    order = {role: place for place, role in enumerate(_SYNCED)}
    return sorted(shown, key=lambda one: order.get(one.role or "", len(order))), Labels(by_role)


def _collection(entry: Listed, state: str) -> Collection:
    role = _role(entry)
    synced = role in _SYNCED
    return Collection(
        id=entry.raw.decode("latin-1"),
        name="Inbox" if role == "inbox" else _PREFIX.sub("", display_name(entry), count=1),
        role=role,
        token=state if synced else "",
        label=True,
        synced=synced,
        mark=state.partition(":")[0],  # UIDVALIDITY, which a new name leaves alone
    )


def _role(entry: Listed) -> str | None:
    """Only attributes tell: the names are in the user's language, and a label may bear any name."""
    if entry.raw.upper() == b"INBOX":
        return "inbox"
    return next((_BY_ATTRIBUTE[a] for a in sorted(entry.attributes) if a in _BY_ATTRIBUTE), None)


def _quoted(id: str) -> bytes:
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", id.encode("latin-1")) + b'"'
