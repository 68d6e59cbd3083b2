"""Every job, the queue in which it waits, and the JSON it is there.

A deployment reads what the version before has queued. So the names in the JSON stay as they are, whatever
a field is called here, and edits stay JSON inside JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, cast

from chalicelib.domain.remote import Flags, RemoteId

J = TypeVar("J")


@dataclass(frozen=True, slots=True)
class Queue(Generic[J]):
    """A queue, which holds jobs of the type J; the deployment finds it by its name."""

    name: str


SYNC: Queue[SyncJob] = Queue("sync")
BACKFILL: Queue[FetchHistory] = Queue("backfill")
EDITS: Queue[EditsJob] = Queue("edits")
DELIVERIES: Queue[Wake] = Queue("deliveries")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAccount:
    """Bring what is new in an account."""

    queue: ClassVar = SYNC
    account_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareAccount:
    """Sync an account, then compare it with its server.

    What the API wrote less than `settled` seconds ago is left alone; None leaves the time to the comparison.
    """

    queue: ClassVar = SYNC
    account_id: str
    settled: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryMessage:
    """Try a message of the quarantine once more; `entry_id` is its entry there."""

    queue: ClassVar = SYNC
    account_id: str
    entry_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchHistory:
    """Fetch the history of an account for one turn."""

    queue: ClassVar = BACKFILL
    account_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyEdits:
    """Make on the mail server what the API has changed here."""

    queue: ClassVar = EDITS
    account_id: str
    edits: tuple[QueuedEdit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSentMail:
    """Make sure that a mail sent at `at` is stored and filed; `key` and `length` lead to its raw form."""

    queue: ClassVar = EDITS
    account_id: str
    key: str
    length: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """ "Look at this lane of an endpoint", or at all its lanes if `lane` is empty. Carries no data."""

    queue: ClassVar = DELIVERIES
    webhook_id: str
    application_id: str
    lane: str


SyncJob = SyncAccount | CompareAccount | RetryMessage
EditsJob = ApplyEdits | FileSentMail
Job = SyncJob | FetchHistory | EditsJob | Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedEdit:
    """One change of one copy on the mail server.

    A copy that has no name there yet has an empty `item`, and its Message-ID leads to it. Labels are ids of
    collections, None if the change asks for none.
    """

    collection: str
    item: RemoteId
    message_id: str = ""
    add: Flags
    remove: Flags
    move_to: str | None = None
    add_labels: tuple[str, ...] | None = None
    remove_labels: tuple[str, ...] | None = None


class UnknownJob(ValueError):
    """A message of a form that this version does not write."""


def only_queue(jobs: Sequence[Job]) -> Queue[Any]:
    """Return the queue in which all these jobs wait. Raises ValueError if there is more than one."""
    [queue] = {job.queue for job in jobs}
    return queue


def dump(job: Job) -> dict[str, str | int]:
    """Return a job as its queue holds it."""
    match job:
        case SyncAccount() | FetchHistory():
            return {"account_id": job.account_id}
        case CompareAccount():
            settled = {} if job.settled is None else {"settled": job.settled}
            return {"account_id": job.account_id, "repair": 1, **settled}
        case RetryMessage():
            return {"account_id": job.account_id, "quarantine": job.entry_id}
        case ApplyEdits():
            return {"account_id": job.account_id, "edits": json.dumps([_dump_edit(one) for one in job.edits])}
        case FileSentMail():
            return {"account_id": job.account_id, "sent": job.key, "length": job.length, "at": job.at}
        case Wake():
            return {"webhook_id": job.webhook_id, "application_id": job.application_id, "lane": job.lane}


def load(queue: Queue[J], body: object) -> J:
    """Read a message of a queue. Raises UnknownJob unless it is, field by field, what `dump` returns."""
    read = _READERS.get(queue.name)
    if read is None:
        raise UnknownJob(f"There is no queue {queue.name}.")
    try:
        job = read(body)
    except (TypeError, ValueError) as error:
        raise UnknownJob(f"A job of the queue {queue.name} has edits that cannot be read.") from error
    if job is None or not isinstance(body, Mapping) or dump(job).keys() != body.keys():
        fields = ", ".join(map(str, body)) if isinstance(body, Mapping) else type(body).__name__
        raise UnknownJob(f"The queue {queue.name} has no job of the form {fields}.")
    return cast(J, job)


def _read_sync(body: object) -> Job | None:
    match body:
        case {"account_id": str(id), "quarantine": str(entry_id)}:
            return RetryMessage(account_id=id, entry_id=entry_id)
        case {"account_id": str(id), "repair": 1, "settled": int(seconds)}:
            return CompareAccount(account_id=id, settled=seconds)
        case {"account_id": str(id), "repair": 1}:
            return CompareAccount(account_id=id)
        case {"account_id": str(id)}:
            return SyncAccount(account_id=id)
    return None


def _read_backfill(body: object) -> Job | None:
    match body:
        case {"account_id": str(id)}:
            return FetchHistory(account_id=id)
    return None


def _read_edits(body: object) -> Job | None:
    match body:
        case {"account_id": str(id), "sent": str(key), "length": int(length), "at": int(at)}:
            return FileSentMail(account_id=id, key=key, length=length, at=at)
        case {"account_id": str(id), "edits": str(edits)}:
            return ApplyEdits(account_id=id, edits=tuple(_load_edit(one) for one in json.loads(edits)))
    return None


def _read_deliveries(body: object) -> Job | None:
    match body:
        case {"webhook_id": str(webhook_id), "application_id": str(application_id), "lane": str(lane)}:
            return Wake(webhook_id=webhook_id, application_id=application_id, lane=lane)
    return None


_READERS: Mapping[str, Callable[[object], Job | None]] = {
    SYNC.name: _read_sync,
    BACKFILL.name: _read_backfill,
    EDITS.name: _read_edits,
    DELIVERIES.name: _read_deliveries,
}


def _dump_edit(edit: QueuedEdit) -> dict[str, Any]:
    labels = {"add_labels": edit.add_labels, "remove_labels": edit.remove_labels}
    return {
        "collection": edit.collection,
        "item": edit.item,
        **({} if edit.item else {"message_id": edit.message_id}),
        "add": edit.add,
        "remove": edit.remove,
        "move_to": edit.move_to,
        **{name: list(ids) for name, ids in labels.items() if ids is not None},
    }


def _load_edit(body: Any) -> QueuedEdit:
    match body:
        case {"collection": str(collection), "item": str(item), "add": str(add), "remove": str(remove)}:
            edit = QueuedEdit(
                collection=collection,
                item=RemoteId(item),
                message_id=body.get("message_id", ""),
                add=Flags(add),
                remove=Flags(remove),
                move_to=body.get("move_to"),
                add_labels=_names(body.get("add_labels")),
                remove_labels=_names(body.get("remove_labels")),
            )
            if _dump_edit(edit) == body:
                return edit
    raise ValueError("This is no edit.")


def _names(ids: list[str] | None) -> tuple[str, ...] | None:
    return None if ids is None else tuple(ids)
