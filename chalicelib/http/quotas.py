"""How often a stranger may try: connecting mailboxes, client secrets, codes.

Whoever shows the client secret has quotas of his own, which nobody else can use up. A secret or code that is
right passes however many wrong ones came before: guessing is refused, the owner is not locked out. All others
have small quotas by source; what sources share is so much larger that a handful of them cannot use it up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from typing import NoReturn

from chalice.app import Request

from chalicelib import bounds
from chalicelib.domain.accounts.login import login_of
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.errors import ConnectFailed, InvalidRequest, TooMany, Unauthorized
from chalicelib.services import services
from chalicelib.store.values import Spent


def source_of(request: Request) -> str:
    """Return the address a request comes from, as API Gateway saw it; an IPv6 network of a user is one."""
    address = str((request.context.get("identity") or {}).get("sourceIp") or "")
    with suppress(ValueError):
        return str(ip_network((address, 64 if ":" in address else 32), strict=False))
    return address


def connect(request: Request, client_id: str, *, trusted: bool) -> None:
    """Count a call of /connect/authorize. Raises TooMany."""
    if trusted:
        _spend(f"connect-trusted#{client_id}", bounds.TRUSTED_CONNECTS)
        return
    _spend(f"connect-source#{source_of(request)}", bounds.CONNECTS_PER_SOURCE)
    _spend(f"connect#{client_id}", bounds.CONNECTS_PER_APPLICATION)


@contextmanager
def login(settings: MailSettings, request: Request, client_id: str, *, trusted: bool) -> Iterator[None]:
    """Count logins that a server refuses, by server and user name. Raises TooMany before one is tried."""
    owner = f"login-trusted#{client_id}" if trusted else f"login-source#{source_of(request)}"
    logins = sorted({_digest(login_of(server).key) for server in (settings.imap, settings.smtp)})
    # A source that has used up its own share must not use up that of all.
    counted = [(f"{owner}#{one}", bounds.LOGIN_FAILURES) for one in logins]
    if not trusted:
        counted += [(f"login#{one}", bounds.LOGIN_FAILURES_OF_ALL) for one in logins]
    spent = [_spend(name, most, bounds.LOGIN_FAILURE_SECONDS) for name, most in counted]
    try:
        yield
    except ConnectFailed as error:
        if error.details.get("error") == "login":
            raise
        _give_back(spent)  # no password was looked at
        raise
    _give_back(spent)


def _give_back(spent: Iterable[Spent]) -> None:
    for one in spent:
        services().quotas.give_back(one)


def wrong_secret(request: Request, client_id: str) -> NoReturn:
    """Refuse a client secret that is wrong, or one of an application that does not exist."""
    _spend(f"secret-source#{source_of(request)}", bounds.WRONG_SECRETS_PER_SOURCE)
    _spend(f"secret#{client_id}", bounds.WRONG_SECRETS_PER_APPLICATION)
    raise Unauthorized("Could not verify access credential.")


def wrong_code(application_id: str) -> NoReturn:
    """Refuse a code that is unknown, used, expired or another application's."""
    _spend(f"code#{application_id}", bounds.WRONG_CODES)
    raise InvalidRequest("The code is unknown, used or expired.")


def _spend(name: str, most: int, seconds: int = bounds.QUOTA_SECONDS) -> Spent:
    spent = services().quotas.spend(name, most, seconds)
    if not spent.allowed:
        raise TooMany(f"Too many attempts: at most {most} in {seconds} seconds.", most, spent.seconds)
    return spent


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
