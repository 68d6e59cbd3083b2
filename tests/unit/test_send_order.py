"""What happens in which order when a mail is sent."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.mail.filing import Filing
from chalicelib.domain.mail.folder import Folder
from chalicelib.sending.letter import load
from chalicelib.sending.send import Sending
from chalicelib.sending.unfiled import Unfiled
from tests.fakes.quarantine import MemoryQuarantine
from tests.fakes.store import MemoryMail
from tests.worlds.sync import ACCOUNT

SENT = Folder(id="f", account_id="a", collection="Sent", display_name="Sent", role="sent", created_at=0)


class Server:
    """Notes what it is asked to do."""

    def __init__(self, steps: list[str]) -> None:
        self._steps = steps

    def send(self, sender: str, recipients: Any, raw: bytes) -> dict[str, tuple[int, str]]:
        self._steps.append("send")
        return {}

    def find(self, collection_id: str, message_id: str) -> None:
        return None

    def end(self, collection_id: str) -> str:
        return "1.1"

    def append(self, collection_id: str, raw: bytes, flags: str) -> None:
        self._steps.append("file")

    def close(self) -> None:
        pass


def test_a_mail_is_stored_before_it_is_filed_so_that_sync_knows_the_copy() -> None:
    steps: list[str] = []
    server: Any = Server(steps)

    def record(raw: bytes, folder: Folder | None, at: int) -> Any:
        steps.append("store")

    desk = Sending(
        mail=MemoryMail(all_folders={"f": SENT}),
        remember=lambda raw, at: steps.append("remember"),
        record=record,
        name=lambda raw, folder, at, name: None,
        forget=lambda raw, folder: None,
        filing=lambda raw: Filing(),
        note=lambda raw, filing: steps.append(filing.stage.value),
        unfiled=Unfiled(quarantine=MemoryQuarantine(), account_id="a", now=lambda: 5),
        transport=lambda: server,
        provider=lambda: server,
    )
    desk.send(ACCOUNT, load({"to": [{"email": "jonas@werft.example"}]}), "id", 5)
    assert steps == ["send", "remember", "store", "offered", "file", "filed"]
