"""/messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chalice.app import Response

from chalicelib import bounds
from chalicelib.api.mail import filters, updates
from chalicelib.api.mail.shown import Shown, listing
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.message import Message
from chalicelib.errors import InvalidRequest
from chalicelib.http import access
from chalicelib.http.query import Query, existing, object_id
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.sync.requests import edits
from chalicelib.wire import body as read

messages = Routes(__name__)
RAW = "message/rfc822"


@messages.route("/messages", methods=["GET"])
def list_messages() -> Any:
    """Return messages, newest first."""
    account = access.account(messages.current_request)
    query = Query(messages.current_request, filters.MESSAGES)
    view = query.view("ids", "count", "expanded")
    shown = Shown(account, expanded=view == "expanded")
    return listing(query, view, _found(account, query, shown), shown.whole_messages)


@messages.route("/messages/{id}", methods=["GET"])
def show_message(id: str) -> Any:
    """Return one message, its raw MIME, or several messages by a comma list."""
    account = access.account(messages.current_request)
    view = Query(messages.current_request).view("expanded")
    shown = Shown(account, expanded=view == "expanded")
    if "," in id:
        return shown.whole_messages(_several(account, id.split(",")))
    message = _one(account, id)
    if messages.current_request.headers.get("accept", "").strip().lower() == RAW:
        return Response(services().contents.raw(account, message), headers={"Content-Type": RAW})
    return shown.message(message)


@messages.route("/messages/{id}", methods=["PUT", "PATCH"])
def update_message(id: str) -> Any:
    """Change flags, folder or labels."""
    account = access.writer(messages.current_request)
    Query(messages.current_request)
    shown = Shown(account)
    body, message = read.stated(messages.current_request.raw_body), _one(account, id)
    wanted = updates.wanted(account, body, shown.folders, message.folder_ids)
    here = services()
    updated = edits.update(here.mail, here.queues, account.id, [message], wanted)
    return shown.message(existing(updated[0] if updated else None, id))


def _found(account: Account, query: Query, shown: Shown) -> Iterator[Message]:
    before, after = query.moment("received_before"), query.moment("received_after")
    admits = filters.message_filter(query, shown.folders if query.has("in") else {})
    thread_id = query.text("thread_id")
    if thread_id is None:
        return filter(admits, services().mail.newest_messages(account.id, before, after))
    return filter(admits, _of_thread(account, object_id(thread_id), before, after))


def _of_thread(account: Account, thread_id: str, before: int | None, after: int | None) -> Iterator[Message]:
    thread = services().mail.threads(account.id, [thread_id]).get(thread_id)
    found = services().mail.messages(account.id, thread.message_ids) if thread else {}
    for message in sorted(found.values(), key=lambda m: m.id, reverse=True):
        if (before is None or message.date <= before) and (after is None or message.date > after):
            yield message


def _one(account: Account, id: str) -> Message:
    return existing(services().mail.messages(account.id, [object_id(id)]).get(id), id)


def _several(account: Account, ids: list[str]) -> list[Message]:
    """Return those that exist, in the order asked for."""
    wanted = list(dict.fromkeys(object_id(id.strip()) for id in ids if id.strip()))
    if len(wanted) > bounds.IDS_IN_A_LIST:
        raise InvalidRequest(f"At most {bounds.IDS_IN_A_LIST} messages can be asked for at once")
    found = services().mail.messages(account.id, wanted)
    return [found[id] for id in wanted if id in found]
