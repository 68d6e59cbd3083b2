"""Courier IMAP, unpacked and not installed: its imapd serves a Maildir to whoever has logged in.

Courier's own login needs daemons and files at fixed places of the system, so ours stands before it: it speaks
up to LOGIN, starts the real imapd for that user, and passes on every octet from then on.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.demo.dovecot import PASSWORD
from infra.machine import ports
from tests.servers.mailbox import ROLES, Mailbox, Unavailable
from tests.servers.prepare import DEBIAN, libraries

_IMAPD = DEBIAN / "usr/bin/imapd"
_WATCHING = DEBIAN / "usr/libexec/gam_server"
_OFFER = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"
_SETTINGS = {
    "PROTOCOL": "IMAP",
    "IMAP_CAPABILITY": _OFFER,
    "IMAP_KEYWORDS": "1",
    "IMAP_USELOCKS": "1",
    "IMAP_IDLE_TIMEOUT": "60",
    "IMAP_MAILBOX_SANITY_CHECK": "1",
    "IMAP_TRASHFOLDERNAME": "Trash",
    "IMAP_EMPTYTRASH": "Trash:30000",  # test mail is old
}
_LOGIN = re.compile(rb'(\S+) LOGIN "?([^" ]+)"? "?([^" \r\n]+)"?\r\n', re.I)


@dataclass(slots=True)
class Courier:
    """One listener; each connection has an imapd of its own."""

    base: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="cour")))
    port: int = field(default_factory=ports.any_free)
    listener: socket.socket | None = None
    watching: subprocess.Popen[bytes] | None = None

    def start(self) -> Courier:
        """Listen, with the daemon beside that tells imapd of changes: without it each start waits for it."""
        if not _IMAPD.exists() or not _WATCHING.exists():
            raise Unavailable("Courier is not there: python -m tests.servers.prepare")
        self.watching = subprocess.Popen([_WATCHING, "--notimeout", self.base.name], env=self._environment())
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def add_user(self, user: str) -> Mailbox:
        """Make a user's Maildir."""
        (self.base / user).mkdir()
        subprocess.run(
            [DEBIAN / "usr/bin/maildirmake.courier", self.base / user / "Maildir"],
            check=True,
            env=self._environment(),
        )
        return Mailbox(user=user, imap=self.port, prefix="INBOX.", separator=".").create(*ROLES)

    def stop(self) -> None:
        """Stop listening and remove all files; an imapd ends with its connection."""
        if self.listener:
            self.listener.close()
        if self.watching:
            self.watching.kill()
            self.watching.wait()
        shutil.rmtree(self.base, ignore_errors=True)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.sendall(f"* OK [CAPABILITY {_OFFER}] Courier-IMAP ready.\r\n".encode())
            while line := _line(connection):
                if found := _LOGIN.fullmatch(line):
                    tag, user, password = found.groups()
                    if self._knows(user.decode(), password):
                        self._hand_over(connection, tag, user.decode())
                        return
                connection.sendall(_answer(line))

    def _knows(self, user: str, password: bytes) -> bool:
        return password.decode() == PASSWORD and (self.base / user).is_dir()

    def _hand_over(self, connection: socket.socket, tag: bytes, user: str) -> None:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                imapd = subprocess.Popen(
                    [str(_IMAPD), "Maildir"],
                    cwd=self.base / user,
                    env=self._environment() | {"AUTHENTICATED": user, "HOME": str(self.base / user)},
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                )
            while not _line(ours).startswith(b"* PREAUTH"):
                pass
            connection.sendall(tag + b" OK LOGIN Ok.\r\n")
            threading.Thread(target=_pass_on, args=(connection, ours), daemon=True).start()
            _pass_on(ours, connection)
            imapd.wait()

    def _environment(self) -> dict[str, str]:
        own = {"LD_LIBRARY_PATH": libraries(), "GAM_CLIENT_ID": self.base.name}
        return os.environ | _SETTINGS | own


def _line(connection: socket.socket) -> bytes:
    """Read one line and not an octet more: what follows is for the imapd."""
    line = b""
    while not line.endswith(b"\n") and (octet := connection.recv(1)):
        line += octet
    return line


def _answer(line: bytes) -> bytes:
    tag, _, command = line.strip().partition(b" ")
    if command.upper() == b"CAPABILITY":
        return f"* CAPABILITY {_OFFER}\r\n".encode() + tag + b" OK CAPABILITY completed\r\n"
    return tag + b" NO Login failed.\r\n"


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while octets := source.recv(65_536):
            target.sendall(octets)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
