"""Accounts and applications as the API and its management part show them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib import bounds
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.wire import body
from chalicelib.wire.accounts import window

if TYPE_CHECKING:
    from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
    from chalicelib.domain.accounts.trouble import Trouble

AccountJSON = dict[str, Any]

_SHORT = {
    SyncState.INITIALIZING: "partial",
    SyncState.RUNNING: "running",
    SyncState.PARTIAL: "partial",
    SyncState.INVALID: "invalid",
    SyncState.SYNC_ERROR: "stopped",
    SyncState.STOPPED: "stopped",
}


def dump(account: Account) -> AccountJSON:
    """Return the object of GET /account."""
    return {
        "id": account.id,
        "object": "account",
        "account_id": account.id,
        "name": account.name,
        "email_address": account.email_address,
        "provider": account.provider,
        "organization_unit": account.organization_unit,
        "sync_state": _SHORT[account.state],
        "linked_at": account.linked_at,
    }


def dump_connected(account: Account, access_token: str) -> AccountJSON:
    """Return the answer of POST /connect/token."""
    return {**dump(account), "billing_state": "paid", "access_token": access_token}


def dump_managed(account: Account) -> AccountJSON:
    """Return the object of the management API."""
    return {
        "id": account.id,
        "account_id": account.id,
        "namespace_id": account.id,
        "billing_state": "paid",
        "email": account.email_address,
        "provider": account.provider,
        "sync_state": account.state.value,
        "authentication_type": "password",
        "trial": False,
        "metadata": {},
        **window.dump(account),
        "sync_error": _dump_trouble(account.trouble),
        "pending_removals": [dump_frozen(mark) for mark in account.frozen],
    }


def dump_frozen(mark: FrozenRemoval) -> dict[str, Any]:
    """Return a removal that waits."""
    return {
        "folder_id": mark.folder_id,
        "folder": mark.name,
        "folder_vanished": mark.vanished,
        "count": mark.count,
        "held": mark.held,
        "since": mark.since,
        "confirmed": mark.confirmed,
    }


def _dump_trouble(trouble: Trouble | None) -> dict[str, Any] | None:
    if trouble is None:
        return None
    return {
        "kind": trouble.fault.value,
        "reason": trouble.reason,
        "since": trouble.since,
        "failures": trouble.failures,
        "next_attempt_at": trouble.retry_at or None,
        "folder_ids": [id for id, _ in trouble.folders],
    }


def dump_application(application: Application) -> dict[str, Any]:
    """Return an application's settings."""
    return {
        "application_name": application.name,
        "icon_url": application.icon_url,
        "redirect_uris": list(application.redirect_uris),
        "history_days": application.history_days,
    }


def load_application(application: Application, request: body.Body) -> Application:
    """Return the application with what the request names changed; what is absent stays."""
    name = body.text(request, "application_name", bounds.FIELD_CHARACTERS)
    icon = body.text(request, "icon_url", bounds.URL_CHARACTERS)
    uris = body.texts(request, "redirect_uris", bounds.REDIRECT_URIS, bounds.URL_CHARACTERS)
    return replace(
        application,
        name=application.name if name is None else name,
        icon_url=application.icon_url if icon is None else icon,
        redirect_uris=application.redirect_uris if uris is None else tuple(uris),
        history_days=window.days(request, "history_days", application.history_days),
    )
