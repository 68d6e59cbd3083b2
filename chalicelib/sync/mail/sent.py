"""A mail that we sent, in the store before sync has seen it."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.retention import Retention
from chalicelib.domain.mail.threader import message_key
from chalicelib.domain.remote import Flags, RemoteId, RemoteMessage
from chalicelib.formats.mime.mime import parse
from chalicelib.store.ports.mail import Blobs, Mail
from chalicelib.sync.core.retrying import until_fresh
from chalicelib.sync.mail.identity import namesake_ids
from chalicelib.sync.mail.ingest import Ingest
from chalicelib.sync.mail.threads import changes, thread_messages
from chalicelib.sync.mail.unit_of_work import UnitOfWork


def record_sent(
    mail: Mail,
    blobs: Blobs,
    account: Account,
    raw: bytes,
    folder: Folder | None,
    at: int,
    *,
    name: RemoteId = RemoteId(""),  # noqa: B008 - a constant
    window: Retention | None = None,
) -> Message:
    """Store a mail just sent, before sync has seen its copy in Sent; that copy keeps this id."""
    ingest = _ingest(mail, blobs, account, window)
    home = folder or Folder(
        id="", account_id=account.id, collection="", display_name="", role=None, created_at=at
    )
    remote = RemoteMessage(id=name, flags=Flags("s"), received_at=at, raw=raw)
    if account.traits.files_sent and (all_mail := ingest.role("all")):  # where Gmail will file it itself
        home, remote = all_mail, replace(remote, labels=(home.collection,))
    [arrival] = ingest.arrivals([remote])

    def store() -> Message:
        unit = UnitOfWork(context=ingest, folder=home)
        unit.load([arrival], {})
        id = unit.place(arrival)
        thread_messages(unit, [id])
        mail.save(account.id, changes(unit))
        return mail.messages(account.id, [id])[id]

    return until_fresh(store)


def name_sent(
    mail: Mail,
    blobs: Blobs,
    account: Account,
    raw: bytes,
    folder: Folder,
    at: int,
    name: RemoteId,
    *,
    window: Retention | None = None,
) -> None:
    """Let the copy of a mail we sent be known by its name, unless sync has seen it already."""
    if not mail.locations(account.id, folder.id, [name]):
        record_sent(mail, blobs, account, raw, folder, at, name=name, window=window)


def forget_sent(
    mail: Mail, blobs: Blobs, account: Account, raw: bytes, folder: Folder, *, window: Retention | None = None
) -> None:
    """Take a mail we sent out of Sent if sync has never seen its copy there: the copy has gone before."""
    ingest, sent = _ingest(mail, blobs, account, window), parse(raw)
    keys = [message_key(sent.message_id)] if sent.message_id else []

    def forget() -> None:
        ingest.let_go(folder, namesake_ids(sent, mail.anchors(account.id, keys)))

    until_fresh(forget)


def _ingest(mail: Mail, blobs: Blobs, account: Account, window: Retention | None) -> Ingest:
    folders = {one.collection: one for one in mail.folders(account.id)}
    fixed = (window or Retention()).fixed(folders.values())
    return Ingest(mail=mail, blobs=blobs, account=account, folders=folders, window=fixed)
