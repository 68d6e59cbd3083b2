"""pymap (PyPI): IMAP in memory, with UIDPLUS and MOVE and without CONDSTORE, UNSELECT and SPECIAL-USE."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.demo.dovecot import PASSWORD
from infra.machine import ports
from tests.servers.mailbox import ROLES, Mailbox, Unavailable
from tests.servers.prepare import PYMAP
from tests.servers.process import Running


@dataclass(slots=True)
class Pymap:
    """A process for each user: it knows one only."""

    running: list[Running] = field(default_factory=list)

    def start(self) -> Pymap:
        """Look whether it is there."""
        if not (PYMAP / "bin" / "pymap").exists():
            raise Unavailable("pymap is not there: python -m tests.servers.prepare")
        return self

    def add_user(self, user: str) -> Mailbox:
        """Start a server for a user."""
        port, running = ports.any_free(), Running()
        self.running.append(running)
        others = [word for name in ("managesieve", "admin") for word in ("--no-service", name)]
        own = ["dict", "--demo-user", user, "--demo-password", PASSWORD]
        listen = ["--host", "127.0.0.1", "--port", str(port), "--no-tls"]
        running.start([PYMAP / "bin" / "pymap", *others, *listen, *own], port)
        return Mailbox(user=user, imap=port).create(*ROLES)

    def stop(self) -> None:
        """Stop all of them."""
        for running in self.running:
            running.stop()
