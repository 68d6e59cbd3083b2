"""Changes of labels: on a message here, as an edit on the mail server, and when a label itself has gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from chalicelib.domain.change import ChangeBatch, RemoteId
from chalicelib.domain.folder import Folder
from chalicelib.domain.labelling import LabelChange
from chalicelib.domain.message import Message
from chalicelib.store.ports import Mail
from chalicelib.store.values import MailChanges, Revised
from chalicelib.sync.rethreading import rethreaded
from chalicelib.sync.stale import until_fresh

_TOGETHER = 100
"""So many messages lose a label in one write."""


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


def edit_of(message: Message, change: LabelChange, folders: Mapping[str, Folder]) -> dict[str, object]:
    """Return the part of a queued edit that changes the labels of a message on the server."""
    before, after = frozenset(message.folder_ids), change.applied(frozenset(message.folder_ids))
    place = change.place_of(after)
    added, removed, target = after - before, before - after, None
    if place is not None and place != message.folder_id:
        inbox = change.by_role.get("inbox", "")
        target = inbox if inbox in added else place  # what is moved into the inbox is in All Mail, too
    moved = {target, place, message.folder_id}
    return {
        "add_labels": _collections(added - moved, folders),
        "remove_labels": _collections(removed - moved, folders),
        "move_to": folders[target].collection if target else None,
    }


def unlabel(mail: Mail, account_id: str, label: Folder, sent: Folder | None) -> None:
    """Take a label off all messages of an account, newest first. Repeating it goes on where it stopped.

    All rows are read, for no look-up leads from a label to its messages; labels are deleted seldom.
    """
    bearers = (m.id for m in mail.newest_messages(account_id) if label.id in m.label_ids)
    while part := list(islice(bearers, _TOGETHER)):
        until_fresh(partial(_strip, mail, account_id, part, label.id, sent.id if sent else None))


def _strip(mail: Mail, account_id: str, ids: Sequence[str], label_id: str, sent: str | None) -> None:
    old = [m for m in mail.messages(account_id, ids).values() if label_id in m.label_ids]
    new = [replace(m, label_ids=tuple(id for id in m.label_ids if id != label_id)) for m in old]
    threads = mail.threads(account_id, {message.thread_id for message in new})
    changes = MailChanges(
        messages=[Revised(*pair) for pair in zip(old, new, strict=True)],
        threads=[rethreaded(thread, new, sent) for thread in threads.values()],
    )
    mail.save(account_id, changes)


def _collections(ids: frozenset[str], folders: Mapping[str, Folder]) -> list[str]:
    return sorted(folders[id].collection for id in ids if id in folders)
