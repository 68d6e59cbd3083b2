"""A mail that we sent, in the store before sync has seen it."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.account import Account
from chalicelib.domain.change import Flags, RemoteId, RemoteMessage
from chalicelib.domain.folder import Folder
from chalicelib.domain.message import Message
from chalicelib.domain.window import Window
from chalicelib.store.ports import Blobs, Mail
from chalicelib.sync.draft import Draft
from chalicelib.sync.shelf import Shelf
from chalicelib.sync.stale import until_fresh


def record_sent(
    mail: Mail,
    blobs: Blobs,
    account: Account,
    raw: bytes,
    folder: Folder | None,
    at: int,
    *,
    window: Window | None = None,
) -> Message:
    """Store a mail just sent, before sync has seen its copy in Sent; that copy keeps this id."""
    folders = {one.collection: one for one in mail.folders(account.id)}
    fixed = (window or Window()).fixed(folders.values())
    shelf = Shelf(mail=mail, blobs=blobs, account=account, folders=folders, window=fixed)
    home = folder or Folder(
        id="", account_id=account.id, collection="", display_name="", role=None, created_at=at
    )
    remote = RemoteMessage(id=RemoteId(""), flags=Flags("s"), received_at=at, raw=raw)
    if account.labelled and (all_mail := shelf.role("all")):  # where Gmail will file it itself
        home, remote = all_mail, replace(remote, labels=(home.collection,))
    [arrival] = shelf.arrivals([remote])

    def store() -> Message:
        draft = Draft(shelf=shelf, folder=home)
        draft.load([arrival], {})
        id = draft.place(arrival)
        draft.thread([id])
        mail.save(account.id, draft.changes())
        return mail.messages(account.id, [id])[id]

    return until_fresh(store)
