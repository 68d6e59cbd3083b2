"""How often a sync waits for the mail server: on a long way that, and nothing else, costs time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from chalicelib.domain.remote import BatchLimits
from chalicelib.providers.imap.adapter import ImapProvider
from chalicelib.providers.imap.folders.cursor import load
from chalicelib.providers.imap.protocol.session import open_session
from chalicelib.sync.engine.run import Outcome
from infra.demo.dovecot import Dovecot
from infra.demo.visitor import fill, login
from tests.contract.provider import Copy
from tests.fakes.round_trips import CountingReach
from tests.worlds.mailroom import DEFLATE, PLAIN, Mailroom, dovecot, settings_of

pytestmark = pytest.mark.server
USER = "far@kestrel.example"


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(f"{PLAIN}\n{DEFLATE}") as running:
        fill(running, USER, 300)
        yield running


@pytest.fixture
def reach() -> CountingReach:
    return CountingReach()


def connected(server: Dovecot, reach: CountingReach, compress: bool = False) -> ImapProvider:
    session = open_session(settings_of(server, USER), reach=reach, compress=lambda address: compress)
    return ImapProvider(session)


def test_a_login_takes_one_round_trip_and_a_logout_none(server: Dovecot, reach: CountingReach) -> None:
    provider = connected(server, reach)
    assert reach.round_trips == 1
    provider.close()
    assert reach.round_trips == 1, "nobody waits for a farewell"


@pytest.mark.parametrize("compress", [False, True])
def test_a_quiet_poll_takes_two_round_trips_and_writes_nothing(
    server: Dovecot, reach: CountingReach, compress: bool
) -> None:
    room = Mailroom(server, USER)
    room.settle()
    room.check()
    writes = room.world.fuse.count
    provider = connected(server, reach, compress)
    assert room.world.sync(provider) is Outcome.QUIET
    assert (room.world.fuse.count, reach.round_trips) == (writes, 2)
    assert provider._session.wire.compressed is compress


def test_changes_are_counted_although_nobody_waited_for_the_servers_consent(
    server: Dovecot, reach: CountingReach
) -> None:
    with closing(connected(server, reach)) as provider:
        opened = Copy(provider, budget=BatchLimits(messages=1)).step()
        assert '"modseq":0' not in opened.cursor


def test_a_listing_takes_one_round_trip_however_many_folders_there_are(
    server: Dovecot, reach: CountingReach
) -> None:
    with login(server, USER) as client:
        for number in range(30):
            client.create_folder(f"Many/{number}")
    with closing(connected(server, reach)) as provider:
        provider.find("INBOX", "<none@x.example>")  # a mailbox is open, which is to be left
        before = reach.round_trips
        assert len(provider.collections()) > 30
        assert reach.round_trips == before + 1
        provider._session.capabilities -= {"LIST-STATUS"}  # each folder is asked for
        assert len({one.token for one in provider.collections()}) > 1
        assert reach.round_trips <= before + 4


def test_a_batch_of_history_takes_one_round_trip_whatever_its_size(
    server: Dovecot, reach: CountingReach
) -> None:
    with closing(connected(server, reach)) as provider:
        copy = Copy(provider, budget=BatchLimits(messages=50))
        collection = copy.collection()
        before = reach.round_trips
        batch = provider.changes(collection, None, dict, copy.budget)
        assert len(batch.arrived) == 50
        assert reach.round_trips - before == 1
        before = reach.round_trips
        batch = provider.changes(collection, batch.cursor, dict, copy.budget)
        assert len(batch.arrived) == 50
        assert reach.round_trips - before == 1


def test_a_batch_of_a_window_takes_one_round_trip_more(server: Dovecot, reach: CountingReach) -> None:
    with closing(connected(server, reach)) as provider:
        budget = BatchLimits(messages=50, since=1_000_000_000)
        collection = Copy(provider).collection()
        first = provider.changes(collection, None, dict, budget)
        before = reach.round_trips
        batch = provider.changes(collection, first.cursor, dict, budget)
        assert len(batch.arrived) == 50
        assert reach.round_trips - before == 2  # open and search, bring


def test_new_mail_and_flags_come_in_one_round_trip(server: Dovecot, reach: CountingReach) -> None:
    with closing(connected(server, reach)) as provider, login(server, USER) as client:
        copy = Copy(provider, folder="Archive").catch_up()
        for number in range(3):
            client.append("Archive", f"Subject: {number}\r\n\r\nnew\r\n".encode())
        client.select_folder("Archive")
        client.set_flags([1], [b"\\Seen", b"\\Flagged"])
        before, collection = reach.round_trips, copy.collection()
        batch = provider.changes(collection, copy.cursor, dict, BatchLimits())
        assert (len(batch.arrived), list(batch.flags.values())) == (3, ["fs"])
        assert reach.round_trips - before == 2  # the listing, and all the rest


@pytest.mark.parametrize(("remembers", "most"), [(True, 2), (False, 3)])
def test_the_contents_of_large_mail_take_one_round_trip_more_where_a_search_is_forgotten(
    server: Dovecot, reach: CountingReach, remembers: bool, most: int
) -> None:
    with closing(connected(server, reach)) as provider:
        if not remembers:
            provider._session.capabilities -= {"SEARCHRES"}
        copy = Copy(provider)
        while not (progress := load(copy.step().cursor)).listed:
            pass
        assert progress.whole > 1
        collection, before = copy.collection(), reach.round_trips
        batch = provider.changes(collection, copy.cursor, dict, BatchLimits())
        assert all(message.whole for message in batch.arrived) and not batch.more
        assert reach.round_trips - before == most  # open and search, sizes, contents


def test_an_empty_folder_takes_none(server: Dovecot, reach: CountingReach) -> None:
    with closing(connected(server, reach)) as provider:
        copy = Copy(provider, folder="Drafts")
        collection = copy.collection()
        before = reach.round_trips
        assert not provider.changes(collection, None, dict, copy.budget).more
        assert reach.round_trips == before
