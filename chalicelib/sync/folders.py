"""Folders of the server against folders of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chalicelib import ids
from chalicelib.domain.change import Collection
from chalicelib.domain.folder import Folder
from chalicelib.store.ports import Revised


def differences(
    account_id: str, stored: Mapping[str, Folder], listed: Sequence[Collection], now: int
) -> list[Revised[Folder]]:
    """Return what to write so that the store lists the server's folders; `stored` is by collection.

    A label that has another name on the server keeps its id.
    """
    changes = []
    stored = {**stored, **_renamed(stored, listed)}
    for collection in listed:
        old = stored.get(collection.id)
        new = _folder_of(account_id, collection, old, now)
        if new != old:
            changes.append(Revised(old, new))
    names = {collection.id for collection in listed}
    taken = {change.old.id for change in changes if change.old}
    gone = (folder for name, folder in stored.items() if name not in names and folder.id not in taken)
    return changes + [Revised(folder, None) for folder in gone]


def _renamed(stored: Mapping[str, Folder], listed: Sequence[Collection]) -> dict[str, Folder]:
    """Return the stored labels that only their mark still leads to, by the collection they are now."""
    names = {collection.id for collection in listed}
    lost = {folder.mark: folder for name, folder in stored.items() if name not in names and folder.mark}
    new = (one for one in listed if one.id not in stored and one.mark in lost)
    return {one.id: lost.pop(one.mark) for one in new if one.mark in lost}


def _folder_of(account_id: str, collection: Collection, old: Folder | None, now: int) -> Folder:
    if old:
        return replace(
            old,
            collection=collection.id,
            display_name=collection.name,
            role=collection.role,
            label=collection.label,
            mark=collection.mark,
        )
    return Folder(
        id=_new_id(account_id, collection),
        account_id=account_id,
        collection=collection.id,
        display_name=collection.name,
        role=collection.role,
        created_at=now,
        label=collection.label,
        mark=collection.mark,
    )


def _new_id(account_id: str, collection: Collection) -> str:
    """The mark sets a label apart from one that bore its name before."""
    marks = [collection.mark] if collection.mark else []
    return ids.derived_id(account_id, "folder", collection.id, *marks)
