"""/threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.api.mail import filters, updates
from chalicelib.api.mail.shown import Shown, listing
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.http import access
from chalicelib.http.query import Query, existing, object_id
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.sync.requests import edits
from chalicelib.wire import body as read

threads = Routes(__name__)
_STAY = ("sent", "drafts")


@threads.route("/threads", methods=["GET"])
def list_threads() -> Any:
    """Return threads by their last message, newest first."""
    account = access.account(threads.current_request)
    query = Query(threads.current_request, filters.THREADS)
    view = query.view("ids", "count", "expanded")
    shown = Shown(account, expanded=view == "expanded")
    return listing(query, view, _found(account, query, shown), shown.threads)


@threads.route("/threads/{id}", methods=["GET"])
def show_thread(id: str) -> Any:
    """Return one thread."""
    account = access.account(threads.current_request)
    view = Query(threads.current_request).view("expanded")
    return Shown(account, expanded=view == "expanded").thread(_one(account, id))


@threads.route("/threads/{id}", methods=["PUT", "PATCH"])
def update_thread(id: str) -> Any:
    """Change flags, folder or labels of every message."""
    account = access.writer(threads.current_request)
    Query(threads.current_request)
    shown = Shown(account)
    body = read.stated(threads.current_request.raw_body)
    updates.refuse_others(body)
    every = list(_messages(account, _one(account, id)))
    wanted = updates.wanted(account, body, shown.folders, {id for one in every for id in one.folder_ids})
    own = [message for message in every if not (account.traits.labels and _is_draft(message))]
    _update(account, own, wanted, shown.folders)
    return shown.thread(_one(account, id))


def _update(
    account: Account, messages: Sequence[Message], wanted: edits.Wanted, folders: dict[str, Folder]
) -> None:
    """Flags go to all messages, the folder to those that were not sent or drafted."""
    here = services()
    staying = [m for m in messages if wanted.folder and _stays(m, folders)]
    moving = [m for m in messages if m not in staying]
    for part, change in ((moving, wanted), (staying, replace(wanted, folder=None))):
        if part:
            edits.update(here.mail, here.queues, account.id, part, change)


def _is_draft(message: Message) -> bool:
    return any("d" in place.flags for place in message.places)


def _stays(message: Message, folders: dict[str, Folder]) -> bool:
    folder = folders.get(message.folder_id or "")
    return folder is not None and folder.role in _STAY


def _found(account: Account, query: Query, shown: Shown) -> Iterator[Thread]:
    named = query.has("in") or query.has("not_in")
    wanted = filters.thread_filter(query, shown.folders if named else {})
    before, after = query.moment("last_message_before"), query.moment("last_message_after")
    thread_id = query.text("thread_id")
    candidates: Iterable[Thread]
    if thread_id is None:
        candidates = services().mail.newest_threads(account.id, before, after)
    else:
        candidates = services().mail.threads(account.id, [object_id(thread_id)]).values()
    return (thread for thread in candidates if wanted.admits(thread, lambda t: _messages(account, t)))


def _messages(account: Account, thread: Thread) -> Iterable[Message]:
    return services().mail.messages(account.id, thread.message_ids).values()


def _one(account: Account, id: str) -> Thread:
    return existing(services().mail.threads(account.id, [object_id(id)]).get(id), id)
