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
    """Return what to write so that the store lists the server's folders; `stored` is by collection."""
    changes = []
    for collection in listed:
        old = stored.get(collection.id)
        new = _folder_of(account_id, collection, old, now)
        if new != old:
            changes.append(Revised(old, new))
    names = {collection.id for collection in listed}
    changes += [Revised(folder, None) for name, folder in stored.items() if name not in names]
    return changes


def _folder_of(account_id: str, collection: Collection, old: Folder | None, now: int) -> Folder:
    if old:
        return replace(old, display_name=collection.name, role=collection.role)
    return Folder(
        id=ids.derived_id(account_id, "folder", collection.id),
        account_id=account_id,
        collection=collection.id,
        display_name=collection.name,
        role=collection.role,
        created_at=now,
    )
