"""Requests to addresses that customers name: https, to public hosts, little of the answer is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib import import_module
from urllib.parse import SplitResult, urlsplit

from chalicelib.clock import Deadline
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.errors import Refused
from chalicelib.providers.network.egress import PUBLIC, WEB_PORTS, EgressPolicy, host_name

TIMEOUT = 10.0
_LONGEST_URL = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Addresses that were checked, and the name they were found under; `netloc` goes into Host."""

    addresses: tuple[str, ...]
    port: int
    host: str
    netloc: str
    path: str
    secure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Speaks HTTP with the outside; a `reach` with the loopback takes plain http as well.

    `timeout` is for all of a request, in seconds. No redirect is followed, no proxy is asked.
    """

    reach: EgressPolicy = field(default=PUBLIC)
    timeout: float = TIMEOUT

    def get(self, url: str) -> HttpResponse:
        """Ask for a page. Raises Refused, or ProviderError if there is no answer in time."""
        return self._request("GET", url, b"", {})

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Post a body. Raises Refused, or ProviderError if there is no answer in time."""
        return self._request("POST", url, body, headers)

    def _request(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        deadline = Deadline.after(self.timeout)
        target = self._target(self._parts(url))
        # Loaded on first use: urllib3 would cost every cold start 30 ms.
        pinned = import_module("chalicelib.providers.network.pinned")
        answer: HttpResponse = pinned.request(method, target, body, headers, deadline)
        return answer

    def _target(self, parts: SplitResult) -> Target:
        secure = parts.scheme == "https"
        host, port = host_name(str(parts.hostname)), parts.port or (443 if secure else 80)
        return Target(
            addresses=tuple(self.reach.addresses(host, port, WEB_PORTS)),
            port=port,
            host=host,
            netloc=parts.netloc,
            path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            secure=secure,
        )

    def _parts(self, url: str) -> SplitResult:
        try:
            # urlsplit would drop tabs and line ends silently; a backslash is a slash to others.
            valid = len(url) <= _LONGEST_URL and all("!" <= char <= "~" and char != "\\" for char in url)
            parts = urlsplit(url)
            valid = valid and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise Refused("This is no URL.") from error
        if not valid or parts.scheme not in (("http", "https") if self.reach.local else ("https",)):
            raise Refused("Only https addresses are called.")
        if parts.username is not None or parts.password is not None:
            raise Refused("An address with credentials is not called.")
        return parts


def retry_after(value: str | None, now: float) -> int | None:
    """Return the seconds of a Retry-After header (RFC 9110 section 10.2.3), None if there are none."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, round(aware.timestamp() - now))
