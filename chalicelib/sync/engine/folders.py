"""Folders of the server against folders of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from chalicelib import ids
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.remote import Collection
from chalicelib.store.values import Revised
from chalicelib.sync.core.leased_cursors import LeasedCursors
from chalicelib.sync.core.retrying import until_fresh
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.engine.unlabel import unlabel
from chalicelib.sync.mail.ingest import Ingest
from chalicelib.sync.safety.mass_deletion import DeletionGuard


class Cabinet:
    """The folders of one account, as stored."""

    def __init__(self, work: SyncStores, account: Account) -> None:
        self._work = work
        self._account = account
        self._window = work.window(account)

    def follow(self, listed: Sequence[Collection], hold: LeasedCursors, guard: DeletionGuard) -> Ingest:
        """Let the stored folders be those of the server, except what `guard` keeps; return the ingest."""
        id, stored = self._account.id, self._stored()
        every = differences(id, stored, listed, now=int(self._work.now()))
        changed = [one for one in every if one.new or not (one.old and guard.keeps(one.old))]
        if changed:
            hold.own()
            for gone in (change.old for change in changed if change.old and not change.new):
                self._empty(self.ingest(stored), gone, hold)
            self._work.mail.save_folders(id, changed)
            stored = self._stored()
        return self.ingest(stored)

    def ingest(self, stored: Mapping[str, Folder]) -> Ingest:
        """Return the ingest with these folders, by collection."""
        work, window = self._work, self._window.fixed(stored.values())
        return Ingest(
            mail=work.mail,
            blobs=work.blobs,
            account=self._account,
            folders=stored,
            now=work.now,
            window=window,
        )

    def _stored(self) -> dict[str, Folder]:
        return {folder.collection: folder for folder in self._work.mail.folders(self._account.id)}

    def _empty(self, ingest: Ingest, gone: Folder, hold: LeasedCursors) -> None:
        """Take every message out of a folder or label that is no longer on the server."""
        if gone.label:
            unlabel(self._work.mail, self._account.id, gone, ingest.role("sent"))
        known = frozenset(self._work.mail.known(self._account.id, gone.id))
        until_fresh(partial(ingest.remove, gone, known))
        hold.recut(gone.id, None)


def differences(
    account_id: str, stored: Mapping[str, Folder], listed: Sequence[Collection], now: int
) -> list[Revised[Folder]]:
    """Return what to write so that the store lists the server's folders; `stored` is by collection.

    A label that has another name on the server keeps its id; a new one of an old name gets its own.
    """
    changes = []
    held = _held(stored, listed)
    for collection in listed:
        old = held.get(collection.id)
        new = _folder_of(account_id, collection, old, now)
        if new != old:
            changes.append(Revised(old, new))
    kept = {folder.id for folder in held.values()}
    return changes + [Revised(folder, None) for folder in stored.values() if folder.id not in kept]


def _held(stored: Mapping[str, Folder], listed: Sequence[Collection]) -> dict[str, Folder]:
    """Return what we hold of each collection: what has its mark, else what bears its name."""
    named = {one.id: stored[one.id] for one in listed if one.id in stored}
    if not any(one.mark and named[one.id].mark == one.mark for one in listed if one.id in named):
        return named  # the server knows no marks, or has changed them all
    by_mark = {folder.mark: folder for folder in stored.values() if folder.mark}
    marked = {one.id: by_mark.get(one.mark) for one in listed if one.mark and not one.role}
    return {id: folder for id, folder in {**named, **marked}.items() if folder}


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
    marks = [collection.mark] if collection.mark and not collection.role else []
    return ids.derived_id(account_id, "folder", collection.id, *marks)
