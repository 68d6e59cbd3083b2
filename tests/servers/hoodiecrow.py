"""hoodiecrow (npm): a server in memory that bends the protocol here and there."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field

from infra.demo.dovecot import PASSWORD
from infra.machine import ports
from tests.servers.mailbox import Mailbox, Unavailable
from tests.servers.prepare import HOODIECROW
from tests.servers.process import Running

_PROGRAM = HOODIECROW / "node_modules" / "hoodiecrow-imap" / "bin" / "hoodiecrow"
_PLUGINS = ("ID", "NAMESPACE", "IDLE", "ENABLE", "LITERALPLUS", "UNSELECT", "SPECIAL-USE", "UIDPLUS", "MOVE")
_FOLDERS = {"Sent": "\\Sent", "Drafts": "\\Drafts", "Trash": "\\Trash", "Junk": "\\Junk"}


@dataclass(slots=True)
class Hoodiecrow:
    """A process for each user: all users of one share a mailbox."""

    plugins: tuple[str, ...] = _PLUGINS
    running: list[Running] = field(default_factory=list)

    def start(self) -> Hoodiecrow:
        """Look whether it is there."""
        if not _PROGRAM.exists() or shutil.which("node") is None:
            raise Unavailable("hoodiecrow or Node is not there: python -m tests.servers.prepare")
        return self

    def add_user(self, user: str) -> Mailbox:
        """Start a server for a user."""
        port, running = ports.any_free(), Running()
        self.running.append(running)
        folders = {name: {"special-use": use} for name, use in _FOLDERS.items()}
        config = running.base / "config.json"
        storage = {"INBOX": {}, "": {"separator": "/", "folders": folders}}
        settings = {"plugins": self.plugins, "users": {user: {"password": PASSWORD}}, "storage": storage}
        config.write_text(json.dumps(settings))
        running.start(["node", _PROGRAM, "--config", config, "--port", str(port)], port)
        return Mailbox(user=user, imap=port)

    def stop(self) -> None:
        """Stop all of them."""
        for running in self.running:
            running.stop()
