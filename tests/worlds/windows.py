"""A mailbox with mail of many ages, and a window that may be changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from chalicelib.domain.mail.retention import is_over, latest
from chalicelib.sync.engine.run import Outcome
from tests.fakes.mail import mail
from tests.worlds.sync import World

DAY = 86_400
AGES = (1, 20, 40, 80, 200, 900)


@dataclass
class Windowed(World):
    """A mailbox with mail of many ages in two folders, and a window that may be changed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for folder, first in (("INBOX", 0), ("Junk", 100)):
            for number, age in enumerate(AGES, first):
                self.server.deliver(folder, mail(f"{folder} {age}", number), at=self.date(age))

    def date(self, age: int) -> int:
        return int(self.now) - age * DAY

    def keep(self, days: int | None, **folders: int | None) -> Outcome:
        """Set the account's window and sync until nothing is left to do."""
        self.accounts.account = replace(self.accounts.account, history_days=days, folder_days=folders)
        outcome = self.sync()
        assert self.sync() is Outcome.QUIET
        return outcome

    def ages(self, folder: str = "INBOX") -> list[int]:
        return sorted(
            int(m.subject.split()[1]) for m in self.mail.all_messages.values() if m.subject.startswith(folder)
        )

    def expire(self) -> None:
        """Let the store forget what has come to the end of its life."""
        tables: list[dict[Any, Any]] = [
            self.mail.all_messages, self.mail.all_threads, self.mail.all_locations
        ]  # fmt: skip
        for table in tables:
            for key in [key for key, one in table.items() if is_over(one.expires_at, self.now)]:
                del table[key]

    def check_lives(self) -> None:
        """All rows of a message live as long as it does, and threads as long as their last message."""
        for key, location in self.mail.all_locations.items():
            assert location.expires_at == self.mail.all_messages[location.message_id].expires_at, key
        for thread in self.mail.all_threads.values():
            own = [self.mail.all_messages[id].expires_at for id in thread.entries]
            assert thread.expires_at == latest(*own)
