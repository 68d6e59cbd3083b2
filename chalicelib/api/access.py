"""Who is asking: an account by its access token, or an application by its client secret."""

from __future__ import annotations

import base64
import binascii

from chalice.app import Request

from chalicelib.api.query import existing, object_id
from chalicelib.domain.account import Account, Application, SyncState
from chalicelib.errors import Conflict, Forbidden, NotFound, Unauthorized
from chalicelib.services import services

_REFUSED = {
    SyncState.INVALID: "This account's credentials are out of date. Please re-authenticate.",
    SyncState.STOPPED: "Syncing of this account has stopped. Please contact support.",
}


def account(request: Request) -> Account:
    """Return the account whose access token the request bears. Raises Unauthorized."""
    account_id = services().tokens.account_of(_credential(request))
    if account_id is None:
        raise _unknown()
    found = services().accounts.get(account_id)
    if found is None:
        raise NotFound("This account no longer exists.")
    return found


def writer(request: Request) -> Account:
    """Return the account if it may be changed now. Raises Forbidden while its mailbox is out of reach."""
    found = account(request)
    if found.state in _REFUSED:
        raise Forbidden(_REFUSED[found.state])
    return found


def application(request: Request, client_id: str) -> Application:
    """Return the application whose client secret the request bears. Raises Unauthorized."""
    return verified(client_id, _credential(request))


def managed(request: Request, client_id: str, id: str) -> Account:
    """Return an account of the application whose client secret the request bears. Raises NotFound."""
    owner = application(request, client_id)
    found = services().accounts.get(object_id(id))
    return existing(found if found and found.application_id == owner.id else None, id)


def may_sync(account: Account) -> None:
    """Raise Conflict while an account rests: nothing asked of its mail server would be done."""
    if account.state in _REFUSED:
        raise Conflict(f"{_REFUSED[account.state]} Until then its mail server is not asked for anything.")


def verified(client_id: str, secret: str) -> Application:
    """Return the application of that id and secret. Raises Unauthorized."""
    found = services().applications.get(client_id)
    if found is None or not services().applications.verify(client_id, secret):
        raise _unknown()
    return found


def _credential(request: Request) -> str:
    words = request.headers.get("authorization", "").split()
    if len(words) != 2:
        raise _unknown()
    scheme, value = words
    if scheme.lower() == "bearer":
        return str(value)
    if scheme.lower() == "basic":
        return _user_of(value)
    raise _unknown()


def _user_of(basic: str) -> str:
    """Return the user name; v2 SDKs put anything into the password."""
    try:
        user = base64.b64decode(basic, validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        user = ""
    if not user:
        raise _unknown()
    return user


def _unknown() -> Unauthorized:
    return Unauthorized("Could not verify access credential.")
