"""Who is asking: an account by its access token, or an application by its client secret."""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress

from chalice.app import Request

from chalicelib import bounds
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.errors import Conflict, Forbidden, NotFound, Unauthorized
from chalicelib.http import quotas
from chalicelib.http.query import existing, object_id
from chalicelib.http.routes import ACCOUNT
from chalicelib.services import services
from chalicelib.store.values import Admission

_REFUSED = {
    SyncState.INVALID: "This account's credentials are out of date. Please re-authenticate.",
    SyncState.STOPPED: "Syncing of this account has stopped. Please contact support.",
}


def account(request: Request) -> Account:
    """Return the account whose access token the request bears. Raises Unauthorized."""
    grant = services().tokens.grant_of(_credential(request))
    if grant is None:
        raise _unknown()
    found = services().accounts.get(grant.account_id)
    if found is None:
        raise NotFound("This account no longer exists.")
    if grant.epoch != found.epoch:  # the account has become another mailbox since
        raise _unknown()
    request.context[ACCOUNT] = found.id
    return found


def writer(request: Request) -> Account:
    """Return the account if it may be changed now. Raises Forbidden while its mailbox is out of reach."""
    found = account(request)
    if found.state in _REFUSED:
        raise Forbidden(_REFUSED[found.state])
    return found


def application(request: Request, client_id: str) -> Application:
    """Return the application whose client secret the request bears. Raises Unauthorized."""
    return verified(request, client_id, _credential(request))


def newest_secret(request: Request, client_id: str) -> str:
    """Return the client secret of the request if it is the newest. Raises Unauthorized, Forbidden."""
    secret = _credential(request)
    if not _admitted(request, client_id, secret).newest:
        raise Forbidden("This client secret is being replaced: only the newest one manages secrets.")
    return secret


def shows_secret(request: Request, client_id: str, secret: str | None) -> bool:
    """Tell whether the application itself is asking: by a secret of the body or by the request's credential.

    Official SDKs send others' credentials along, so a wrong one is no error.
    """
    shown = {secret} if secret else set()
    with suppress(Unauthorized):
        shown.add(_credential(request))
    return any(services().applications.verify(client_id, one) for one in shown)


def managed(request: Request, client_id: str, id: str) -> Account:
    """Return an account of the application whose client secret the request bears. Raises NotFound."""
    owner = application(request, client_id)
    found = services().accounts.get(object_id(id))
    return existing(found if found and found.application_id == owner.id else None, id)


def may_sync(account: Account) -> None:
    """Raise Conflict while an account rests: nothing asked of its mail server would be done."""
    if account.state in _REFUSED:
        raise Conflict(f"{_REFUSED[account.state]} Until then its mail server is not asked for anything.")


def verified(request: Request, client_id: str, secret: str) -> Application:
    """Return the application of that id and secret. Raises Unauthorized, TooMany after many wrong ones."""
    return _admitted(request, client_id, secret).application


def _admitted(request: Request, client_id: str, secret: str) -> Admission:
    if len(client_id) > bounds.CLIENT_ID_CHARACTERS or not client_id:
        raise _unknown()
    return services().applications.verify(client_id, secret) or quotas.wrong_secret(request, client_id)


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
