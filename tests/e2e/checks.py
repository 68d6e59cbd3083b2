"""What the API shows is what the server holds; and whether a process lives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from infra.demo.dovecot import Dovecot
from infra.demo.visitor import login
from tests.e2e.client import Client


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


def check_messages(messages: list[dict[str, Any]], imap_server: Dovecot, user: str, count: int) -> None:
    """By Message-ID: folder and flags of every message are those of the server."""
    with login(imap_server, user) as server:
        held = {}
        names = [name for flags, _, name in server.list_folders() if b"\\Noselect" not in flags]
        for name in names:
            server.select_folder(name, readonly=True)
            uids = server.search()
            for row in (server.fetch(uids, ["FLAGS", "BODY.PEEK[HEADER]"]) if uids else {}).values():
                id = row[b"BODY[HEADER]"].partition(b"Message-ID: ")[2].partition(b"\r\n")[0].decode()
                held[id] = (name, b"\\Seen" not in row[b"FLAGS"], b"\\Flagged" in row[b"FLAGS"])
    shown = {
        one["headers"]["Message-Id"]: (one["folder"]["display_name"], one["unread"], one["starred"])
        for one in messages
    }
    assert len(messages) == len(shown) == count
    assert shown == held


def check_threads(client: Client) -> None:
    """Each message is in the thread it names."""
    messages = {one["id"]: one["thread_id"] for one in client.all("/messages")}
    threads = client.all("/threads")
    inside = {one["id"]: thread["id"] for thread in threads for one in thread["messages"]}
    assert inside == messages


def check_deltas(client: Client, count: int) -> None:
    """Each message was created once."""
    deltas = client.deltas("0")
    created = Counter(d["id"] for d in deltas if d["object"] == "message" and d["event"] == "create")
    assert set(created.values()) == {1}
    assert len(created) == count
