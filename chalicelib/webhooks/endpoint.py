"""The challenge: an endpoint proves that it wants our notifications."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from chalicelib.errors import ProviderError
from chalicelib.providers.http import Answer

Get = Callable[[str], Answer]


def challenge(url: str, secret: str, get: Get) -> bool:
    """Tell whether the endpoint answers 200 with exactly the secret it was sent.

    The secret is 16 random lower-case letters and digits; `get` gives up after ten seconds.
    """
    try:
        answer = get(with_challenge(url, secret))
    except ProviderError:
        return False
    return answer.status == 200 and answer.body == secret.encode()


def with_challenge(url: str, secret: str) -> str:
    """Return the URL with `challenge` set and its other query parameters kept."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "challenge"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("challenge", secret)])))
