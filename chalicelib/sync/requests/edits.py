"""A change asked for by the API: at once in the store, soon after on the mail server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.jobs import ApplyEdits, QueuedEdit
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.labelling import LabelChange
from chalicelib.domain.mail.message import Message, Place
from chalicelib.domain.remote import Edit, Flags, RemoteId
from chalicelib.errors import Gone
from chalicelib.providers.base import Provider
from chalicelib.store.values import MailChanges, Revised, Stale
from chalicelib.sync.mail.labels import relabelled, relabelling
from chalicelib.sync.mail.loose import listed
from chalicelib.sync.mail.rethreading import rethreaded

if TYPE_CHECKING:
    from chalicelib.store.ports.mail import Mail
    from chalicelib.store.ports.work import Queues

TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall be true of some messages; None leaves it as it is."""

    unread: bool | None = None
    starred: bool | None = None
    folder: Folder | None = None
    labels: LabelChange | None = None


def update(
    mail: Mail, queues: Queues, account_id: str, messages: Sequence[Message], wanted: Wanted
) -> list[Message]:
    """Change messages and their threads now, and queue the same change for the server.

    What is true already is left alone. Returns the messages in their new form.
    """
    for attempt in range(TRIES):
        try:
            return _update_once(mail, queues, account_id, messages, wanted)
        except Stale:
            if attempt == TRIES - 1:
                raise
            fresh = mail.messages(account_id, [message.id for message in messages])
            messages = [fresh[message.id] for message in messages if message.id in fresh]
    return []


def apply(provider: Provider, wanted: Sequence[QueuedEdit]) -> None:
    """Carry out queued edits on the server. Raises Gone, after all others, while a copy is on its way."""
    edits = [_edit_of(edit, provider) for edit in wanted]
    provider.apply([edit for edit in edits if edit.item])
    if not all(edit.item for edit in edits):
        raise Gone("A message has not arrived in its folder yet.")


def _update_once(
    mail: Mail, queues: Queues, account_id: str, messages: Sequence[Message], wanted: Wanted
) -> list[Message]:
    pairs = [(message, changed(message, wanted)) for message in messages]
    revised = [(old, new) for old, new in pairs if new != old]
    if not revised:
        return list(messages)
    folders = {folder.id: folder for folder in mail.folders(account_id)}
    sent = next((id for id, folder in folders.items() if folder.role == "sent"), None)
    threads = mail.threads(account_id, {new.thread_id for _, new in revised})
    loose, named = listed(Revised(old, new) for old, new in revised)
    changes = MailChanges(
        messages=[Revised(old, new) for old, new in revised],
        new_locations=loose,
        locations=named,
        threads=[rethreaded(thread, [new for _, new in revised], sent) for thread in threads.values()],
    )
    # The job leaves first: if the store refuses, the server is merely told what it knows already.
    edits = tuple(edit for old, _ in revised for edit in edits_for(old, wanted, folders))
    if edits:
        queues.send([ApplyEdits(account_id=account_id, edits=edits)], account_id)
    mail.save(account_id, changes)
    return [new for _, new in pairs]


def changed(message: Message, wanted: Wanted) -> Message:
    """Return the message as wanted; its copies take the flags, and the shown copy the folder."""
    if wanted.labels is not None:
        message = relabelled(message, wanted.labels)
    places = message.places
    if wanted.folder is not None and wanted.folder.id != message.folder_id:
        places = tuple({_moved(place, message, wanted.folder.id) for place in places})
    unread = message.unread if wanted.unread is None else wanted.unread
    starred = message.starred if wanted.starred is None else wanted.starred
    return replace(
        message,
        unread=unread,
        starred=starred,
        folder_id=wanted.folder.id if wanted.folder else message.folder_id,
        places=tuple(
            sorted(
                (replace(p, flags=_flags(p.flags, unread, starred)) for p in places),
                key=lambda p: (p.folder_id, p.remote_id),
            )
        ),
    )


def edits_for(message: Message, wanted: Wanted, folders: Mapping[str, Folder]) -> list[QueuedEdit]:
    """Return the server's part of a change: one edit for each copy the server has."""
    add = Flags(("f" if wanted.starred else "") + ("s" if wanted.unread is False else ""))
    remove = Flags(("f" if wanted.starred is False else "") + ("s" if wanted.unread else ""))
    moving = wanted.folder is not None and wanted.folder.id != message.folder_id
    edits: list[QueuedEdit] = []
    for place in message.places:
        if place.folder_id not in folders or not (place.remote_id or message.message_id):
            continue
        target = wanted.folder.collection if moving and wanted.folder and _is_shown(place, message) else None
        edit = QueuedEdit(
            collection=folders[place.folder_id].collection,
            item=place.remote_id,
            message_id="" if place.remote_id else message.message_id or "",
            add=add,
            remove=remove,
            move_to=target,
        )
        edits.append(relabelling(edit, message, wanted.labels, folders) if wanted.labels else edit)
    return edits


def _edit_of(edit: QueuedEdit, provider: Provider) -> Edit:
    """A copy that was moved or sent just now has no name yet; its Message-ID leads to it once it is there."""
    item = edit.item or provider.find(edit.collection, edit.message_id)
    return Edit(
        collection=edit.collection,
        item=item or RemoteId(""),
        add=edit.add,
        remove=edit.remove,
        add_labels=edit.add_labels or (),
        remove_labels=edit.remove_labels or (),
        move_to=edit.move_to,
    )


def _is_shown(place: Place, message: Message) -> bool:
    return place.folder_id == message.folder_id


def _moved(place: Place, message: Message, folder_id: str) -> Place:
    if not _is_shown(place, message):
        return place
    return replace(place, folder_id=folder_id, remote_id=RemoteId(""))


def _flags(flags: Flags, unread: bool, starred: bool) -> Flags:
    letters = set(flags) - {"s", "f"} | ({"f"} if starred else set()) | (set() if unread else {"s"})
    return Flags("".join(sorted(letters)))
