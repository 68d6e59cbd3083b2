"""/folders, and /labels for accounts that have none."""

from __future__ import annotations

from typing import Any

from chalicelib.api import access
from chalicelib.api.query import Query, existing, object_id
from chalicelib.api.routes import Routes
from chalicelib.errors import NotFound
from chalicelib.services import services
from chalicelib.wire import folder as wire

folders = Routes(__name__)


@folders.route("/folders", methods=["GET"])
def list_folders() -> Any:
    """Return folders, oldest first."""
    account = access.account(folders.current_request)
    query = Query(folders.current_request)
    view = query.view("ids", "count", "expanded")
    found = services().mail.folders(account.id)
    if view == "count":
        return {"count": len(found)}
    page = list(query.page(found))
    return [folder.id for folder in page] if view == "ids" else [wire.dump(folder) for folder in page]


@folders.route("/folders/{id}", methods=["GET"])
def show_folder(id: str) -> Any:
    """Return one folder."""
    account = access.account(folders.current_request)
    Query(folders.current_request)
    found = {folder.id: folder for folder in services().mail.folders(account.id)}
    return wire.dump(existing(found.get(object_id(id)), id))


@folders.route("/labels", methods=["GET", "POST"])
def labels() -> Any:
    """Refuse: only Gmail-like accounts have labels."""
    access.account(folders.current_request)
    raise NotFound("This account's provider has folders, not labels.")


@folders.route("/labels/{id}", methods=["GET", "PUT", "PATCH", "DELETE"])
def label(id: str) -> Any:
    """Refuse: only Gmail-like accounts have labels."""
    return labels()
