"""An account with some history, synced live."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.clock import Deadline
from chalicelib.sync.core.pace import Live
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.engine.run import Outcome, sync_account
from tests.fakes.mail import mail
from tests.fakes.provider import Box
from tests.worlds.sync import World


@dataclass
class Scene:
    """An account with some history, synced live."""

    world: World = field(default_factory=World)
    waits: bool = False
    asked: int = 0

    def fill(self, folder: str, count: int, first: int = 0) -> None:
        self.world.server.boxes.setdefault(folder, Box())
        for number in range(first, first + count):
            self.world.server.deliver(folder, mail(f"{folder}{number}", number), at=number)

    def live(self) -> Outcome:
        return sync_account(self.work, self.world.accounts.account, Deadline.after(60), Live(self._waits))

    @property
    def work(self) -> SyncStores:
        world = self.world
        return SyncStores(
            mail=world.mail, checkpoints=world.checkpoints, blobs=world.blobs,
            accounts=world.accounts,  # type: ignore[arg-type]  # the two calls the engine makes
            provider=lambda account: world.server, now=lambda: world.now,
        )  # fmt: skip

    def _waits(self) -> bool:
        self.asked += 1
        return self.waits
