"""What is answered when a mailbox cannot be connected, all in our own words.

Whoever asks may need no secret, and names any host: what a server says before a login has worked is not told.
"""

from __future__ import annotations

from chalicelib.domain.accounts.mail_settings import Server
from chalicelib.errors import AuthRejected, ConnectFailed, ProviderError, SendFailed

_STEPS = {
    "greeting": "{host}:{port} does not greet as a mail server does.",
    "dns": "The host {host} cannot be resolved or is none that is called.",
    "tcp": "{host}:{port} cannot be reached or is none that is called.",
    "tls": "There is no TLS with {host}:{port}: it offers none, or its certificate is not valid.",
    "login": "The login at {host}:{port} fails: the server refuses the credentials or wants no login now.",
}


def failed(error: ProviderError | SendFailed, kind: str, server: Server) -> ConnectFailed:
    """Return the answer to a failure at one of the servers; `error` in its details names the step.

    What happens behind the login (mailbox) is told as it is.
    """
    refused = isinstance(error, AuthRejected) or error.status == 403
    step = error.details.get("step", "login" if refused else "tcp")
    if kind == "smtp" and step not in _STEPS:
        step = "tcp"
    text = (
        error.message
        if step == "mailbox"
        else _STEPS.get(step, _STEPS["tcp"]).format(host=server.host, port=server.port)
    )
    answer = ConnectFailed(f"{kind.upper()}: {text}", error=step, server=kind)
    answer.status = 403 if refused else 400
    return answer


def another_login() -> ConnectFailed:
    """Return the answer to who claims an address that is connected with another login."""
    return _refused(
        403,
        "This address is connected with another login. Only the application can change that: with"
        " reauth_account_id, in a request that bears its client secret.",
        "Another login",
    )


def another_account() -> ConnectFailed:
    """Return the answer to an application that gives an account a mailbox which is another account."""
    return _refused(409, "This mailbox is connected as another account.", "Another account")


def unknown_account() -> ConnectFailed:
    """Return the answer to any reauth_account_id that cannot be renewed so, for whatever reason."""
    return _refused(
        400,
        "reauth_account_id names no account of this address and login. An account is given another login only"
        " in a request that bears the client secret.",
        "Unknown account",
    )


def _refused(status: int, message: str, error: str) -> ConnectFailed:
    answer = ConnectFailed(message, error=error)
    answer.status = status
    return answer
