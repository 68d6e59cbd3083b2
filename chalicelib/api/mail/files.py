"""/files."""

from __future__ import annotations

from collections.abc import Iterator
from mimetypes import guess_extension
from typing import Any

from chalice.app import Response

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.message import File, Message
from chalicelib.http import access
from chalicelib.http.query import Query, existing, object_id
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.wire.mail import file as wire
from chalicelib.wire.mail.disposition import attachment

files = Routes(__name__)
_FILTERS = frozenset({"message_id", "filename", "content_type"})


@files.route("/files", methods=["GET"])
def list_files() -> Any:
    """Return files of messages, newest message first."""
    account = access.account(files.current_request)
    query = Query(files.current_request, _FILTERS)
    view = query.view("ids", "count", "expanded")
    found = _found(account, query)
    if view == "count":
        return {"count": sum(1 for _ in found)}
    page = list(query.page(found))
    if view == "ids":
        return [file.id for file, _ in page]
    return [wire.dump(file, account.id, message.id) for file, message in page]


@files.route("/files/{id}", methods=["GET"])
def show_file(id: str) -> Any:
    """Return what is known of one file."""
    account = access.account(files.current_request)
    Query(files.current_request)
    file, message_id = existing(services().mail.file(account.id, object_id(id)), id)
    return wire.dump(file, account.id, message_id)


@files.route("/files/{id}/download", methods=["GET"])
def download_file(id: str) -> Response:
    """Return the bytes of one file."""
    account = access.account(files.current_request)
    Query(files.current_request)
    here = services()
    file, message_id = existing(here.mail.file(account.id, object_id(id)), id)
    message = existing(here.mail.messages(account.id, [message_id]).get(message_id), id)
    data = here.contents.file(account, message, file.part)
    name = file.filename or f"attachment{guess_extension(file.content_type) or ''}"
    headers = {"Content-Type": "application/octet-stream", "Content-Disposition": attachment(name)}
    return Response(data, headers=headers)


def _found(account: Account, query: Query) -> Iterator[tuple[File, Message]]:
    filename, content_type = query.text("filename"), query.text("content_type")
    for message in _messages(account, query.text("message_id")):
        for file in message.files:
            if filename in (None, file.filename) and content_type in (None, file.content_type):
                yield file, message


def _messages(account: Account, message_id: str | None) -> Iterator[Message]:
    if message_id is None:
        return services().mail.newest_messages(account.id)
    return iter(services().mail.messages(account.id, [object_id(message_id)]).values())
