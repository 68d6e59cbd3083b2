"""A Dovecot for hundreds of mailboxes at once, filled and delivered to without a protocol.

Users are a0, a1, and so on. Each group of 80 has its own system user, for the kernel gives one user 128
inotify instances; IDLE without one tells half a minute late.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from infra.demo.dovecot import Dovecot

GROUP = 80
FIRST_UID = 20_000
_LIMITS = "service imap {\n  process_limit = 2000\n  client_limit = 1\n}\n"


@dataclass(slots=True)
class CrowdedDovecot(Dovecot):
    """Takes hundreds of sessions."""

    mailboxes: int = 300
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def deliver(self, user: str, raw: bytes) -> None:
        """Put a message into the inbox, as a delivery agent does: whoever is in IDLE hears of it."""
        box = self._maildir(user)
        name = f"{next(self._numbers)}.{os.getpid()}.localhost"
        self._write(user, box / "tmp" / name, raw)
        (box / "tmp" / name).rename(box / "new" / name)

    def stock(self, users: Iterable[str], messages: Iterable[tuple[int, bytes]]) -> None:
        """Give each of these users the same messages in the inbox: Unix second of arrival, and bytes."""
        pool = self.base / "pool"
        pool.mkdir(exist_ok=True)
        boxes = [self._maildir(user) for user in users]
        for at, raw in messages:
            source = pool / f"{at}.{next(self._numbers)}.localhost"
            source.write_bytes(raw)
            source.chmod(0o644)
            os.utime(source, (at, at))
            for box in boxes:
                (box / "cur" / f"{source.name}:2,S").hardlink_to(source)

    def _maildir(self, user: str) -> Path:
        box = self.base / "mail" / user / "Maildir"
        if not box.exists():
            for place in (box.parent, box, *(box / name for name in ("cur", "new", "tmp"))):
                place.mkdir(exist_ok=True)
                self._own(user, place)
        return box

    def _write(self, user: str, path: Path, raw: bytes) -> None:
        path.write_bytes(raw)
        self._own(user, path)

    def _own(self, user: str, path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, _uid(user), _uid(user))

    def _config(self, owner: pwd.struct_passwd) -> str:
        config = Dovecot._config(self, owner) + _LIMITS
        if os.getuid() != 0:
            return config + "mailbox_idle_check_interval = 1s\n"
        users = self.base / "users"
        names = (f"a{number}" for number in range(self.mailboxes))
        lines = (f"{name}::{_uid(name)}:{_uid(name)}::{self.base}/mail/{name}\n" for name in names)
        users.write_text("".join(lines))
        (self.base / "mail").chmod(0o1777)
        args = f"args = uid={owner.pw_uid} gid={owner.pw_gid} home={self.base}/mail/%n"
        before, _, after = config.partition("userdb {")
        return (
            before + "userdb {" + after.replace("static", "passwd-file", 1).replace(args, f"args = {users}")
        )


def _uid(user: str) -> int:
    return FIRST_UID + int(user[1:]) // GROUP
