from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.auth.connect import Desk, connect
from chalicelib.domain.account import Account, SyncState
from chalicelib.errors import ConnectFailed, ProviderError, SendFailed
from chalicelib.store.values import Poll
from chalicelib.wire import connection
from tests.fakes.services import MemoryAccounts, MemoryPolls, MemoryQueues, MemoryServer

BODY = {
    "client_id": "app", "name": "Mira", "email_address": "mira@kestrel.example", "provider": "imap",
    "settings": {
        "imap_host": "h", "imap_port": 993, "imap_username": "u", "imap_password": "p",
        "smtp_host": "h", "smtp_port": 587, "smtp_username": "u", "smtp_password": "p",
    },
}  # fmt: skip


def desk_on(
    server: Any,
    accounts: MemoryAccounts | None = None,
    begin: Callable[[Account], None] = lambda account: None,
    queues: MemoryQueues | None = None,
) -> Desk:
    return Desk(
        accounts=accounts or MemoryAccounts(),
        polls=MemoryPolls(),
        queues=queues or MemoryQueues(),
        begin=begin,
        open_mailbox=lambda kind, settings: (
            server.opened_as(kind) if hasattr(server, "opened_as") else server
        ),
        open_transport=lambda settings: server,
        pepper="p",
    )


def test_a_new_account_is_stored_and_polled_and_its_history_begun() -> None:
    accounts, begun = MemoryAccounts(), list[Account]()
    desk = desk_on(MemoryServer(), accounts, begun.append)
    account = connect(desk, connection.load(BODY), now=5)
    assert accounts.get(account.id) == account and account.state is SyncState.INITIALIZING
    assert list(desk.polls.all()) == [Poll(account_id=account.id, active_at=5, host="h")]
    assert begun == [account]


def test_connecting_again_renews_the_same_account_and_has_it_compared() -> None:
    begun, queues = list[Account](), MemoryQueues()
    desk = desk_on(MemoryServer(), begin=begun.append, queues=queues)
    first = connect(desk, connection.load(BODY), now=5)
    again = connect(desk, connection.load({**BODY, "name": "Mira O."}), now=9)
    assert (again.id, again.linked_at, again.name) == (first.id, 5, "Mira O.")
    assert queues.sent == [("sync", {"account_id": first.id, "repair": 1})]
    assert begun == [first]


class Refusing(MemoryServer):
    """Its IMAP side cannot be reached."""

    def collections(self) -> Any:
        raise ProviderError("no such host", step="dns")


class NoSending(MemoryServer):
    """Its SMTP side refuses the login."""

    def verify(self) -> None:
        raise SendFailed(403, "535 no")


@pytest.mark.parametrize(
    ("server", "step", "side", "status"),
    [(Refusing(), "dns", "imap", 400), (NoSending(), "login", "smtp", 403)],
)
def test_a_failure_names_its_step_and_stores_nothing(server: Any, step: str, side: str, status: int) -> None:
    accounts = MemoryAccounts()
    with pytest.raises(ConnectFailed) as caught:
        connect(desk_on(server, accounts), connection.load(BODY), now=5)
    assert (caught.value.details["error"], caught.value.details["server"]) == (step, side)
    assert caught.value.status == status and not accounts.rows


class Labelling(MemoryServer):
    """A Gmail; notes as what it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[str] = []

    def opened_as(self, kind: str) -> Any:
        self.kinds.append(kind)
        return self

    def labels(self, collection: Any, ids: Any) -> Any:
        raise AssertionError("connecting reads no mail")


def test_a_server_with_labels_makes_a_gmail_account_which_stays_one() -> None:
    server = Labelling()
    desk = desk_on(server)
    account = connect(desk, connection.load(BODY), now=5)
    assert (account.provider, account.organization_unit) == ("gmail", "label")
    again = connect(desk, connection.load(BODY), now=9)
    assert again.provider == "gmail" and server.kinds == ["detect", "gmail"]


def test_an_account_with_folders_stays_one_whatever_its_server_offers_now() -> None:
    accounts, server = MemoryAccounts(), Labelling()
    folders = connect(desk_on(MemoryServer(), accounts), connection.load(BODY), now=5)
    assert (folders.provider, folders.organization_unit) == ("imap", "folder")
    assert connect(desk_on(server, accounts), connection.load(BODY), now=9).provider == "imap"
    assert server.kinds == ["imap"]


def test_a_window_may_be_given_and_stays_when_connecting_again() -> None:
    desk = desk_on(MemoryServer())
    window = {"history_days": 7, "folder_history_days": {"spam": "none"}}
    first = connect(desk, connection.load({**BODY, **window}), now=5)
    assert (first.history_days, first.folder_days) == (7, {"spam": None})
    again = connect(desk, connection.load(BODY), now=9)
    assert (again.history_days, again.folder_days) == (7, {"spam": None})
    other = connect(desk, connection.load({**BODY, "history_days": 0}), now=9)
    assert (other.history_days, other.folder_days) == (0, {"spam": None})


@pytest.mark.parametrize("window", [{"history_days": "x"}, {"folder_history_days": {"attic": 5}}])
def test_a_bad_window_is_refused_before_anything_is_tried(window: Any) -> None:
    with pytest.raises(ConnectFailed) as caught:
        connection.load({**BODY, **window})
    assert caught.value.details["error"] == "Invalid history window"
