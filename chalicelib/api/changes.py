"""What a PUT of a message or thread asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.domain.folder import Folder
from chalicelib.errors import InvalidRequest
from chalicelib.sync.edits import Wanted
from chalicelib.wire import body as read

_KEYS = frozenset({"unread", "starred", "folder_id", "folder", "label_ids", "labels"})


def parse(raw: bytes) -> dict[str, Any]:
    """Return the body of a PUT, which must say something. Raises InvalidRequest."""
    body = read.parse(raw)
    if not body:
        raise InvalidRequest("The request body is empty.")
    return body


def wanted(body: Mapping[str, Any], folders: Mapping[str, Folder]) -> Wanted:
    """Return the state asked for. Raises InvalidRequest."""
    if body.get("label_ids") or body.get("labels"):
        raise InvalidRequest("This account has folders, not labels: set folder_id")
    if body.get("metadata"):
        raise InvalidRequest("Metadata is not supported")
    return Wanted(
        unread=read.flag(body, "unread"),
        starred=read.flag(body, "starred"),
        folder=_folder(body, folders),
    )


def refuse_others(body: Mapping[str, Any]) -> None:
    """Raise InvalidRequest for a key that threads do not have."""
    for key in body:
        if key not in _KEYS:
            raise InvalidRequest(f"Unexpected attribute: {key[:100]}")


def _folder(body: Mapping[str, Any], folders: Mapping[str, Folder]) -> Folder | None:
    key = "folder_id" if "folder_id" in body else "folder"
    if key not in body:
        return None
    id = body[key]
    if not isinstance(id, str) or id not in folders:
        raise InvalidRequest(f"{key} must be the id of a folder of this account")
    return folders[id]
