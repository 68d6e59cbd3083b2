"""A mailbox changes for a while, and everybody who follows it ends up with the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from requests import HTTPError

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill, login
from tests.e2e.conftest import eventually
from tests.e2e.connecting import connect, token_of
from tests.e2e.followers import (
    Api,
    ApplicationPoller,
    Follower,
    InboxPoller,
    LongPoller,
    NumberedStreamer,
    Streamer,
    Told,
)
from tests.e2e.mutator import Mutator

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "followed@kestrel.example"
SECONDS = float(os.environ.get("POSTERN_FOLLOW_SECONDS", "25"))
NO_MAILBOX = {b"\\Noselect", b"\\NonExistent"}
FOLLOWERS: tuple[type[Follower], ...] = (
    LongPoller,
    Streamer,
    NumberedStreamer,
    ApplicationPoller,
    InboxPoller,
    Told,
)


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


@pytest.fixture(scope="module")
def account(info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission) -> Iterator[dict[str, Any]]:
    fill(imap_server, USER, 60)
    answer = connect(info, imap_server, smtp_server, USER)
    assert answer.status_code == 200, answer.text
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", info["ca_file"])
        yield token_of(info, answer.json()["code"])


def test_all_followers_end_up_with_what_the_server_has(
    info: dict[str, Any], account: dict[str, Any], imap_server: Dovecot
) -> None:
    followers = [make(Api(info, account)) for make in FOLLOWERS]  # from the first sync on
    for follower in followers:
        follower.start()
    mutator = Mutator(imap_server, USER, seed=int(os.environ.get("POSTERN_FOLLOW_SEED", "7")))
    mutator.run(SECONDS)
    print(f"done: {dict(mutator.done)}")

    api = Api(info, account)
    eventually(lambda: in_api(api) == on_server(imap_server), 60)
    eventually(lambda: [f.failure for f in followers if f.failure] or _agree(followers), 60)
    for follower in followers:
        follower.stop.set()
    assert [(follower.name, follower.failure) for follower in followers if follower.failure] == []
    # Nothing happens any more, so what they hold stays what it is.
    for follower in followers:
        assert follower.objects == follower.expected(), follower.name
        assert follower.told > 0, follower.name
    print(f"told: { ({follower.name: follower.told for follower in followers}) }")


def test_the_sdk_asks_for_types_views_and_patience(info: dict[str, Any], account: dict[str, Any]) -> None:
    deltas = Api(info, account).sdk().deltas
    some = deltas.since("0", include_types=["message"]).deltas
    assert some and {delta.object for delta in some} == {"message"}
    others = deltas.since("0", excluded_types=["message", "thread"], view="expanded").deltas
    assert others and not {"message", "thread"} & {delta.object for delta in others}
    [expanded, *_] = [
        d for d in deltas.since("0", view="expanded", include_types="message").deltas if d._attributes
    ]
    assert expanded.attributes["headers"]["Message-Id"]
    latest = deltas.latest_cursor()
    nothing = deltas.longpoll(latest, timeout=1)
    assert (nothing.deltas, nothing.cursor_start, nothing.cursor_end) == (None, latest, latest)
    with pytest.raises(HTTPError) as refused:
        deltas.since("no-such-cursor")
    assert refused.value.response.status_code == 400


def _agree(followers: list[Follower]) -> bool:
    return all(follower.objects == follower.expected() for follower in followers)
