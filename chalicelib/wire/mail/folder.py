"""Folders and labels as the API shows them."""

from typing import TypedDict

from chalicelib.domain.mail.folder import Folder


class FolderRefJSON(TypedDict):
    """A folder inside a message or thread."""

    id: str
    name: str | None
    display_name: str


class FolderJSON(FolderRefJSON):
    """A folder of its own."""

    object: str
    account_id: str


def reference(folder: Folder) -> FolderRefJSON:
    """Return the embedded form."""
    return {"id": folder.id, "name": folder.role, "display_name": folder.display_name}


def dump(folder: Folder) -> FolderJSON:
    """Return the whole object."""
    return {**reference(folder), "object": folder.kind, "account_id": folder.account_id}
