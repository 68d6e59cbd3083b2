"""A folder or label as the API shows it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.mail.labelling import PLACES


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """`role` is inbox, sent, drafts, trash, spam, archive, all, important or None (made by the user).

    `collection` is the provider's own name of the folder; `created_at` is Unix seconds. The `mark` of a
    label stays when the provider's name of it changes.
    """

    id: str
    account_id: str
    collection: str
    display_name: str
    role: str | None
    created_at: int
    rev: int = 0
    label: bool = False
    mark: str = ""

    @property
    def is_synced(self) -> bool:
        """Whether mail is fetched from it: a label only points to it, but for those that hold all of it."""
        return not self.label or self.role in PLACES

    @property
    def kind(self) -> str:
        """What the API calls it: folder or label."""
        return "label" if self.label else "folder"


ROLES = frozenset({"inbox", "sent", "drafts", "trash", "spam", "archive", "all", "important"})
_PREFERENCE = ("inbox", "archive", "sent", "drafts", None, "important", "all", "spam", "trash")


def preference(folder: Folder) -> tuple[int, str]:
    """Rank a folder for a message that lies in several: the lowest is the one the API shows."""
    rank = _PREFERENCE.index(folder.role) if folder.role in _PREFERENCE else len(_PREFERENCE)
    return rank, folder.id
