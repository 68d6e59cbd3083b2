"""What a mail server's words of refusal mean to us."""

from __future__ import annotations

import re

from chalicelib import bounds
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
_BACKOFF = re.compile(r"backoff time: (\d{1,12}) milliseconds", re.I)


def throttled(text: str) -> bool:
    """Tell whether a refusal asks for patience rather than naming a fault."""
    return _THROTTLED.search(text) is not None


def failure(text: str, step: str = "mailbox", words: str = "The mail server answered") -> ProviderError:
    """Return the error for a NO, BAD or BYE; its words are quoted behind ours."""
    quote = text[: bounds.REFUSAL_CHARACTERS]
    if throttled(quote):
        backoff = _BACKOFF.search(quote)
        waits = {"retry_after": _seconds(backoff.group(1))} if backoff else {}
        return _quoting(Throttled(f"{words}: {quote}", step=step, **waits), words)
    if _CREDENTIALS.search(quote):
        return _quoting(AuthRejected(f"{words}: {quote}", step=step), words)
    if _ABSENT.search(quote):
        return _quoting(Gone(f"{words}: {quote}", step=step), words)
    return _quoting(ProviderError(f"{words}: {quote}", step=step), words)


def login_failure(text: str) -> ProviderError:
    """Return the error for a refused login; only a plain refusal blames the credentials."""
    quote, words = text[: bounds.REFUSAL_CHARACTERS], "The mail server refused the login"
    if _UNAVAILABLE.search(quote):  # a server that has too much to do says so, too (RFC 5530)
        return _quoting(Throttled(f"{words}: {quote}", step="login"), words)
    if not throttled(quote) and (_CREDENTIALS.search(quote) or not _TEMPORARY.search(quote)):
        return _quoting(AuthRejected(f"{words}: {quote}", step="login"), words)
    return failure(quote, "login", words)


def _quoting(error: ProviderError, words: str) -> ProviderError:
    error.own_words = words
    return error


def _seconds(milliseconds: str) -> int:
    return min(-(-int(milliseconds) // 1000), bounds.BACKOFF_SECONDS)
