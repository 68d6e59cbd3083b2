"""Requests to addresses that customers name, kept away from our own network.

The name is resolved once, every address it has must be a public one, and the connection is made to
the address that was checked (a second look-up could answer differently: DNS rebinding). TLS still
verifies the name, no redirect is followed, and little of the answer is read.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from urllib.parse import SplitResult, urlsplit

from chalicelib.errors import ProviderError

TIMEOUT = 10.0

Resolve = Callable[[str, int], list[str]]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said; `body` holds its first 64 KB."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address that was checked, and the name it was found under; `netloc` goes into Host."""

    address: str
    port: int
    host: str
    netloc: str
    path: str
    secure: bool


class Refused(ProviderError):
    """The address is not one we talk to."""


def resolve(host: str, port: int) -> list[str]:
    """Return every IP address of a host. Raises ProviderError if it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ProviderError(f"The host {host} cannot be resolved.") from error
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Speaks HTTP with the outside; `allow_local` adds loopback and plain http."""

    allow_local: bool = False
    timeout: float = TIMEOUT
    resolve: Resolve = resolve

    def get(self, url: str) -> Answer:
        """Ask for a page. Raises ProviderError if there is no answer in time."""
        return self._request("GET", url, b"", {})

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body. Raises ProviderError if there is no answer in time."""
        return self._request("POST", url, body, headers)

    def _request(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        target = self._target(self._parts(url))
        # Loaded on first use: urllib3 would cost every cold start 30 ms.
        pinned = import_module("chalicelib.providers.pinned")
        answer: Answer = pinned.request(method, target, body, headers, self.timeout)
        return answer

    def _target(self, parts: SplitResult) -> Target:
        host, secure = str(parts.hostname), parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return Target(
            address=self._checked(host, port),
            port=port,
            host=host,
            netloc=parts.netloc,
            path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            secure=secure,
        )

    def _parts(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            valid = bool(parts.hostname) and parts.port != 0 and url.isascii()
        except ValueError:
            valid = False
        if not valid or parts.scheme not in (("http", "https") if self.allow_local else ("https",)):
            raise Refused("Only https addresses are called.")
        if parts.username is not None or parts.password is not None:
            raise Refused("An address with credentials is not called.")
        return parts

    def _checked(self, host: str, port: int) -> str:
        addresses = self.resolve(host, port)
        for address in addresses:
            ip = ipaddress.ip_address(address.partition("%")[0])
            if not (is_public(ip) or (self.allow_local and ip.is_loopback)):
                raise Refused(f"The host {host} has an address that is not public.")
        if not addresses:
            raise Refused(f"The host {host} has no address.")
        return addresses[0]


def is_public(ip: IPAddress) -> bool:
    """Tell whether an address is reachable for everyone, looking inside IPv6 wrappings of IPv4."""
    inner = _wrapped(ip)
    if inner is not None:
        return is_public(inner)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _wrapped(ip: IPAddress) -> IPAddress | None:
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
