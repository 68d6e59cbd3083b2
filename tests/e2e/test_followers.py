"""A mailbox changes for a while, and everybody who follows it ends up with the same."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill, login
from tests.e2e.conftest import eventually
from tests.e2e.followers import Api, ApplicationPoller, Follower, LongPoller, NumberedStreamer, Streamer
from tests.e2e.mutator import Mutator
from tests.e2e.test_main_job import connect, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "followed@kestrel.example"
SECONDS = float(os.environ.get("POSTERN_FOLLOW_SECONDS", "25"))
NO_MAILBOX = {b"\\Noselect", b"\\NonExistent"}
FOLLOWERS: tuple[type[Follower], ...] = (LongPoller, Streamer, NumberedStreamer, ApplicationPoller)


def on_server(server: Dovecot) -> dict[str, tuple[str, bool, bool]]:
    """Return folder, unread and starred of every message by its Message-ID, as the mail server has it."""
    found = {}
    with login(server, USER) as client:
        selectable = [name for flags, _, name in client.list_folders() if not NO_MAILBOX & set(flags)]
        for folder in selectable:
            client.select_folder(folder, readonly=True)
            rows = client.fetch(client.search(), ["FLAGS", "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"])
            for row in rows.values():
                header = row[b"BODY[HEADER.FIELDS (MESSAGE-ID)]"].decode().split(":", 1)[1].strip()
                flags = row[b"FLAGS"]
                found[header] = (folder, b"\\Seen" not in flags, b"\\Flagged" in flags)
    return found


def in_api(api: Api) -> dict[str, tuple[str, bool, bool]]:
    """Return the same as the API shows it."""
    page = api.call("GET", "/messages", limit=1000, view="expanded")
    return {
        one["headers"]["Message-Id"]: (one["folder"]["display_name"], one["unread"], one["starred"])
        for one in page
    }


def test_all_followers_end_up_with_what_the_server_has(
    info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", info["ca_file"])
    fill(imap_server, USER, 60)
    answer = connect(info, imap_server, smtp_server, USER)
    assert answer.status_code == 200, answer.text
    account = token_of(info, answer.json()["code"])
    followers = [make(Api(info, account)) for make in FOLLOWERS]  # from the first sync on
    for follower in followers:
        follower.start()
    mutator = Mutator(imap_server, USER, seed=int(os.environ.get("POSTERN_FOLLOW_SEED", "7")))
    mutator.run(SECONDS)
    print(f"done: {dict(mutator.done)}")

    api = Api(info, account)
    eventually(lambda: in_api(api) == on_server(imap_server), 60)
    eventually(lambda: [f.failure for f in followers if f.failure] or _agree(api, followers), 60)
    for follower in followers:
        follower.stop.set()
    assert [(follower.name, follower.failure) for follower in followers if follower.failure] == []
    # Nothing happens any more, so what they hold stays what it is.
    held = api.listed()
    for follower in followers:
        assert follower.objects == held, follower.name
        assert follower.told > 0, follower.name
    print(f"told: { ({follower.name: follower.told for follower in followers}) }")


def _agree(api: Api, followers: list[Follower]) -> bool:
    held = api.listed()
    time.sleep(0.5)
    return all(follower.objects == held for follower in followers)
