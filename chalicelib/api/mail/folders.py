"""/folders for accounts that sort mail into folders, /labels for those that label it."""

from __future__ import annotations

from typing import Any

from chalice.app import Request

from chalicelib.domain.accounts.account import Account
from chalicelib.errors import NotFound, NotOffered
from chalicelib.http import access
from chalicelib.http.query import Query, existing, object_id
from chalicelib.http.routes import Routes
from chalicelib.services import services
from chalicelib.wire.mail import folder as wire

folders = Routes(__name__)
NOT_OFFERED = {"/labels": frozenset({"POST"}), "/labels/{id}": frozenset({"PUT", "PATCH", "DELETE"})}
"""Methods by path that v2 has; here they are answered with 405."""


@folders.route("/folders", methods=["GET"])
def list_folders() -> Any:
    """Return folders, oldest first."""
    return _listing(folders.current_request, "folder")


@folders.route("/folders/{id}", methods=["GET"])
def show_folder(id: str) -> Any:
    """Return one folder."""
    return _one(folders.current_request, "folder", id)


@folders.route("/labels", methods=["GET", *sorted(NOT_OFFERED["/labels"])])
def labels() -> Any:
    """Return labels, oldest first; they are made in Gmail only."""
    return _listing(folders.current_request, "label")


@folders.route("/labels/{id}", methods=["GET", *sorted(NOT_OFFERED["/labels/{id}"])])
def label(id: str) -> Any:
    """Return one label; they are renamed and deleted in Gmail only."""
    return _one(folders.current_request, "label", id)


def _listing(request: Request, unit: str) -> Any:
    account = _account(request, unit)
    query = Query(request)
    view = query.view("ids", "count", "expanded")
    found = services().mail.folders(account.id)
    if view == "count":
        return {"count": len(found)}
    page = list(query.page(found))
    return [folder.id for folder in page] if view == "ids" else [wire.dump(folder) for folder in page]


def _one(request: Request, unit: str, id: str) -> Any:
    account = _account(request, unit)
    Query(request)
    found = {folder.id: folder for folder in services().mail.folders(account.id)}
    return wire.dump(existing(found.get(object_id(id)), id))


def _account(request: Request, unit: str) -> Account:
    """Return the account if it has what is asked for. Raises NotFound, NotOffered."""
    account = access.account(request)
    if account.organization_unit != unit:
        raise NotFound(f"This account's provider has {account.organization_unit}s, not {unit}s.")
    if request.method != "GET":
        raise NotOffered("Labels can be created, renamed and deleted in Gmail only.", allowed="GET")
    return account
