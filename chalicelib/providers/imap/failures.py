"""What a mail server's words of refusal mean to us."""

from __future__ import annotations

import re

from chalicelib.errors import AuthRejected, Gone, ProviderError, Throttled

_THROTTLED = re.compile(
    r"\[(LIMIT|INUSE|OVERQUOTA|THROTTLED)\b|too many|throttl|simultaneous|rate limit|maximum number of conn",
    re.I,
)
_CREDENTIALS = re.compile(r"\[(AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED)\b", re.I)
_TEMPORARY = re.compile(
    r"\[(UNAVAILABLE|SERVERBUG|CONTACTADMIN)\b|temporar|try again|not connected|internal|timeout", re.I
)
_UNAVAILABLE = re.compile(r"\[UNAVAILABLE\b", re.I)
_ABSENT = re.compile(  # Dovecot sends no code for it
    r"\[(NONEXISTENT|TRYCREATE|NOPERM)\b|(mailbox|folder) (doesn't|does not) exist|no such (mailbox|folder)",
    re.I,
)
_BACKOFF = re.compile(r"backoff time: (\d+) milliseconds", re.I)


def throttled(text: str) -> bool:
    """Tell whether a refusal asks for patience rather than naming a fault."""
    return _THROTTLED.search(text) is not None


def failure(text: str, step: str = "mailbox") -> ProviderError:
    """Return the error for a NO, BAD or BYE given after login."""
    message = f"The mail server answered: {text}"
    if throttled(text):
        backoff = _BACKOFF.search(text)
        waits = {"retry_after": -(-int(backoff.group(1)) // 1000)} if backoff else {}
        return Throttled(message, step=step, **waits)
    if _CREDENTIALS.search(text):
        return AuthRejected(message, step=step)
    if _ABSENT.search(text):
        return Gone(message, step=step)
    return ProviderError(message, step=step)


def login_failure(text: str) -> ProviderError:
    """Return the error for a refused login; only a plain refusal blames the credentials."""
    if _UNAVAILABLE.search(text):  # a server that has too much to do says so, too (RFC 5530)
        return Throttled(f"The mail server refused the login: {text}", step="login")
    if not throttled(text) and (_CREDENTIALS.search(text) or not _TEMPORARY.search(text)):
        return AuthRejected(f"The mail server refused the login: {text}", step="login")
    return failure(text, step="login")
