"""Files as the API shows them."""

from typing import TypedDict

from chalicelib.domain.mail.message import File


class AttachedJSON(TypedDict, total=False):
    """A file inside a message; `content_id` only if it has one."""

    id: str
    filename: str | None
    content_type: str
    size: int
    content_disposition: str | None
    content_id: str


class FileJSON(TypedDict):
    """A file of its own."""

    id: str
    object: str
    account_id: str
    filename: str | None
    content_type: str
    size: int
    message_ids: list[str]
    content_id: str | None
    content_disposition: str | None


def attached(file: File) -> AttachedJSON:
    """Return the form inside a message."""
    shown = AttachedJSON(
        id=file.id,
        filename=file.filename,
        content_type=file.content_type,
        size=file.size,
        content_disposition=file.disposition,
    )
    if file.content_id:
        shown["content_id"] = file.content_id
    return shown


def dump(file: File, account_id: str, message_id: str) -> FileJSON:
    """Return the whole object."""
    return {
        "id": file.id,
        "object": "file",
        "account_id": account_id,
        "filename": file.filename,
        "content_type": file.content_type,
        "size": file.size,
        "message_ids": [message_id],
        "content_id": file.content_id,
        "content_disposition": file.disposition,
    }
