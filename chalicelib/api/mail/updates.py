"""What a PUT of a message or thread asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.labelling import LabelChange
from chalicelib.errors import InvalidRequest
from chalicelib.sync.requests.edits import Wanted
from chalicelib.wire import body as read

_KEYS = frozenset({"unread", "starred", "folder_id", "folder", "label_ids", "labels"})
_WRONG_UNIT = {
    "folder": "This account has folders, not labels: set folder_id",
    "label": "This account has labels, not folders: set label_ids",
}


def wanted(
    account: Account, body: Mapping[str, Any], folders: Mapping[str, Folder], current: Iterable[str]
) -> Wanted:
    """Return the state asked for; `current` are the labels there are now. Raises InvalidRequest."""
    others = ("folder_id", "folder") if account.traits.labels else ("label_ids", "labels")
    if any(body.get(key) for key in others):
        raise InvalidRequest(_WRONG_UNIT[account.organization_unit])
    if body.get("metadata"):
        raise InvalidRequest("Metadata is not supported")
    return Wanted(
        unread=read.flag(body, "unread"),
        starred=read.flag(body, "starred"),
        folder=None if account.traits.labels else _folder(body, folders),
        labels=_labels(body, folders, frozenset(current)) if account.traits.labels else None,
    )


def refuse_others(body: Mapping[str, Any]) -> None:
    """Raise InvalidRequest for a key that threads do not have."""
    for key in body:
        if key not in _KEYS:
            raise InvalidRequest(f"Unexpected attribute: {key[:100]}")


def _folder(body: Mapping[str, Any], folders: Mapping[str, Folder]) -> Folder | None:
    key = "folder_id" if "folder_id" in body else "folder"
    if key not in body:
        return None
    id = body[key]
    if not isinstance(id, str) or id not in folders:
        raise InvalidRequest(f"{key} must be the id of a folder of this account")
    return folders[id]


def _labels(
    body: Mapping[str, Any], folders: Mapping[str, Folder], current: frozenset[str]
) -> LabelChange | None:
    """Return what turns the present labels into those asked for, which are all of them."""
    key = "label_ids" if "label_ids" in body else "labels"
    if key not in body:
        return None
    asked = read.texts(body, key)
    if not asked or not folders.keys() >= set(asked):
        raise InvalidRequest(f"{key} must be a non-empty array of ids of labels of this account")
    by_role = {folder.role: id for id, folder in folders.items() if folder.role}
    change = LabelChange(add=frozenset(asked) - current, remove=current - frozenset(asked), by_role=by_role)
    change.check()
    return change
