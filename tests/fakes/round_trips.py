"""Counts how often a connection waits for the other side: round trips, however short."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

from chalicelib.providers.network.egress import EgressPolicy


class CountingSocket(socket.socket):
    """Counts each first reading after something was sent; what only the server says costs nothing."""

    round_trips = 0
    _asked = False

    def sendall(self, *arguments: Any) -> None:
        """Send, as ever."""
        self._asked = True
        super().sendall(*arguments)

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        """Receive, as ever."""
        self.round_trips += self._asked
        self._asked = False
        return super().recv_into(*arguments, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingReach(EgressPolicy):
    """Connects without TLS in mind: an encrypted socket would hide what is sent."""

    local: bool = True
    sockets: list[CountingSocket] = field(default_factory=list)

    def connect(self, host: str, port: int, ports: frozenset[int], seconds: float) -> socket.socket:
        """Return a connection that counts."""
        plain = EgressPolicy.connect(self, host, port, ports, seconds)
        counting = CountingSocket(fileno=plain.detach())
        counting.settimeout(seconds)
        self.sockets.append(counting)
        return counting

    @property
    def round_trips(self) -> int:
        """Round trips of all connections so far."""
        return sum(one.round_trips for one in self.sockets)
