"""Which hosts that users name are connected to: never those of our own network.

The name is resolved once, every address it has must be a public one, and whoever connects uses the
addresses returned here: a second look-up could answer differently (DNS rebinding). Webhooks, IMAP
and SMTP share this. The networks are those of the IANA special-purpose registries (RFC 6890); an
IPv6 address that leads to an IPv4 one is judged by that one.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from chalicelib.clock import Deadline
from chalicelib.errors import ProviderError, Refused
from chalicelib.providers.network.cutoff import end_at

Resolve = Callable[[str, int], list[str]]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WEB_PORTS = frozenset({80, 443})
MAIL_PORTS = frozenset({25, 143, 465, 587, 993})
_FIRST_FREE_PORT = 1024
_MOST_ADDRESSES = 16
_RESOLVE_SECONDS = 5.0

_SPECIAL_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
        "192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 "
        "198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 "
        "168.63.129.16/32"  # Azure's metadata server has a public address
    ).split()
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20".split()
)  # among them Teredo (2001::/32) and 6to4 (2002::/16), which lead to any IPv4 address
_METADATA_V6 = ipaddress.IPv6Network("fd00:ec2::/32")  # of AWS, in a range of private networks
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")


def resolve(host: str, port: int) -> list[str]:
    """Return every IP address of a host. Raises ProviderError if it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ProviderError(f"The host {host} cannot be resolved.", step="dns") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """How far connections may go; `local` adds the loopback of this machine, for the local runtime.

    Mail servers may lie in the operator's `networks`, too, and have certificates by authorities of `ca_file`.
    """

    local: bool = False
    resolve: Resolve = resolve
    networks: tuple[Network, ...] = ()
    ca_file: str = ""
    until: Deadline | None = None

    def within(self, seconds: float) -> EgressPolicy:
        """Return the same reach, whose connections end in so many seconds, whatever is done with them."""
        return replace(self, until=Deadline.after(seconds))

    def addresses(self, host: str, port: int, ports: frozenset[int]) -> list[str]:
        """Return the addresses that a host may be reached at, each of them checked.

        `ports` are the protocol's own below 1024; from there on every port will do. Raises Refused,
        or ProviderError (step dns) if the host has no address now.
        """
        found = self._resolved(host_name(host), port)
        if not found:
            raise ProviderError(f"The host {host} has no address.", step="dns")
        ips = [ipaddress.ip_address(address.partition("%")[0]) for address in found]
        if self.local and all(ip.is_loopback for ip in ips):
            return found
        if port not in ports and not _FIRST_FREE_PORT <= port < 65536:
            raise Refused(f"Port {port} is not called.", step="tcp")
        networks = self.networks if ports == MAIL_PORTS else ()
        if not all(is_public(ip) or _is_within(ip, networks) for ip in ips):
            raise Refused(f"The host {host} has an address that is not public.", step="tcp")
        return found[:_MOST_ADDRESSES]

    def connect(self, host: str, port: int, ports: frozenset[int], seconds: float) -> socket.socket:
        """Return a connection to the first checked address that answers in time.

        Raises Refused, or ProviderError with the step that failed (dns, tcp).
        """
        deadline = Deadline.after(min(seconds, self.until.left()) if self.until else seconds)
        failure: OSError = TimeoutError("timed out")
        for address in self.addresses(host, port, ports):
            if deadline.passed():
                break
            try:
                return self._ending(socket.create_connection((address, port), timeout=deadline.left()))
            except OSError as error:
                failure = error
        raise ProviderError(f"{host}:{port}: {failure}", step="tcp") from failure

    def _ending(self, sock: socket.socket) -> socket.socket:
        if self.until:
            end_at(sock, self.until)
        return sock

    def _resolved(self, host: str, port: int) -> list[str]:
        """Resolve with a time limit of our own: the system's may be far longer."""
        answers: list[list[str] | Exception] = []

        def ask() -> None:
            try:
                answers.append(self.resolve(host, port))
            except Exception as error:  # handed to the caller below
                answers.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(_RESOLVE_SECONDS)
        if not answers:
            raise ProviderError(f"The host {host} is not resolved in time.", step="dns")
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]


PUBLIC = EgressPolicy()


def host_name(host: str) -> str:
    """Return a host as it is looked up: lower case, no final dot. Raises Refused.

    IPv4 addresses are taken in their usual form only; resolvers know others (octal, hexadecimal, one
    number, fewer parts) that hide where they lead. International names must come in ASCII form.
    """
    name = host.lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(name)) if "%" not in name else _refuse(host)
    except ValueError:
        pass
    labels = name.split(".")
    if len(name) > 253 or _NUMERIC.fullmatch(labels[-1]) or not all(map(_LABEL.fullmatch, labels)):
        return _refuse(host)
    return name


def is_public(ip: IPAddress) -> bool:
    """Tell whether an address is reachable for everyone, looking inside IPv6 wrappings of IPv4."""
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _SPECIAL_V4)
    if ip.ipv4_mapped is not None:
        return is_public(ip.ipv4_mapped)
    low = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip in _NAT64:
        return is_public(low)
    if (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP and not is_public(low):
        return False
    return ip in _GLOBAL_V6 and not any(ip in network for network in _SPECIAL_V6)


def _is_within(ip: IPAddress, networks: tuple[Network, ...]) -> bool:
    """Tell whether an address lies in networks; where a cloud keeps its metadata never does."""
    plain = (ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None) or ip
    if plain.is_link_local or plain in _METADATA_V6:
        return False
    return any(plain in network for network in networks)


def _refuse(host: str) -> str:
    raise Refused(f"{host[:100]!r} is not the name of a host that is called.", step="dns")
