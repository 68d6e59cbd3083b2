"""The addresses of one instance: its ports stay what they are over restarts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from socket import socket

from infra.machine import ports
from infra.machine.processes import say
from infra.machine.state import Home, read_json, write_json
from infra.machine.trouble import CannotStart

HTTP_PORT, HTTPS_PORT = 8025, 8425


class Addresses:
    """Opens the sockets that the processes of an instance listen on, and keeps them open."""

    def __init__(self, home: Home, env: Mapping[str, str]) -> None:
        self._home = home
        self._env = env
        self._open: dict[str, socket] = {}

    def listening(self, name: str, variable: str, preferred: int | None = None) -> socket:
        """Return the socket of that name. Raises CannotStart if the port that a variable names is taken."""
        if name not in self._open:
            self._open[name] = self._listening(name, variable, preferred)
        return self._open[name]

    def _listening(self, name: str, variable: str, preferred: int | None) -> socket:
        named = self._env.get(variable, "")
        if named:
            return ports.any_listening() if named == "0" else _exactly(int(named), variable)
        kept = read_json(self._home.ports) or {}
        opened = _listening_or_other(kept.get(name) or preferred, variable)
        if kept.get(name) != port_of(opened):
            write_json(self._home.ports, {**kept, name: port_of(opened)})
        return opened


def port_of(opened: socket) -> int:
    """Return the port a socket listens on."""
    return int(opened.getsockname()[1])


def _exactly(port: int, variable: str) -> socket:
    try:
        return ports.listening(port)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise CannotStart(f"{variable} names port {port}, which cannot be used: {reason}.") from None


def _listening_or_other(port: int | None, variable: str) -> socket:
    if port is None:
        return ports.any_listening()
    try:
        return ports.listening(port)
    except OSError:
        other = ports.any_listening()
        say(f"Port {port} is in use by another program; from now on it is {port_of(other)} ({variable}).")
        return other
