"""Changes of labels: on a message here, and as an edit on the mail server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chalicelib.domain.jobs import QueuedEdit
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.labelling import LabelChange
from chalicelib.domain.mail.message import Message
from chalicelib.domain.remote import ChangeBatch, RemoteId


def labels_of(batch: ChangeBatch) -> set[str]:
    """Return every label that a batch names."""
    named = {name for message in batch.arrived for name in message.labels}
    return named.union(*batch.labels.values())


def relabelled(message: Message, change: LabelChange) -> Message:
    """Return the message with other labels; where it lies may be another place by that."""
    after = change.applied(frozenset(message.folder_ids))
    place = change.place_of(after) or message.folder_id
    if place is None:
        return message
    places = message.places
    if place != message.folder_id:
        places = tuple({replace(one, folder_id=place, remote_id=RemoteId("")) for one in places})
    return replace(message, places=places, folder_id=place, label_ids=tuple(sorted(after - {place})))


def relabelling(
    edit: QueuedEdit, message: Message, change: LabelChange, folders: Mapping[str, Folder]
) -> QueuedEdit:
    """Return the edit of a message so that it changes the labels on the server, too."""
    before, after = frozenset(message.folder_ids), change.applied(frozenset(message.folder_ids))
    place = change.place_of(after)
    added, removed, target = after - before, before - after, None
    if place is not None and place != message.folder_id:
        inbox = change.by_role.get("inbox", "")
        target = inbox if inbox in added else place  # what is moved into the inbox is in All Mail, too
    moved = {target, place, message.folder_id}
    return replace(
        edit,
        add_labels=_collections(added - moved, folders),
        remove_labels=_collections(removed - moved, folders),
        move_to=folders[target].collection if target else None,
    )


def _collections(ids: frozenset[str], folders: Mapping[str, Folder]) -> tuple[str, ...]:
    return tuple(sorted(folders[id].collection for id in ids if id in folders))
