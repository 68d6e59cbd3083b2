"""Connecting: what is proven, what a code stands for, and what of an account changes when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.auth.connect import Connecting
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.connection import Connection, Proof
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.accounts.login import login_of
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.jobs import CompareAccount
from chalicelib.errors import ConnectFailed, ProviderError, SendFailed
from chalicelib.store.values import Poll
from chalicelib.wire.accounts import connection
from tests.fakes.connections import SERVER, WANTED, body
from tests.fakes.services import MemoryAccounts, MemoryPolls, MemoryQueues, MemoryServer

FROZEN = FrozenRemoval(folder_id="f", name="INBOX", vanished=False, count=30, held=40, since=1)


def desk_on(
    server: Any,
    accounts: MemoryAccounts | None = None,
    begin: Callable[[Account], None] = lambda account: None,
    queues: MemoryQueues | None = None,
) -> Connecting:
    return Connecting(
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


def wanted(user: str = "mira", host: str = "mail.example", **facts: Any) -> Connection:
    imap = replace(SERVER, host=host, username=user, password=facts.pop("password", "a password"))
    return replace(WANTED, settings=replace(WANTED.settings, imap=imap), **facts)


def connect(desk: Connecting, asked: Connection, now: int = 5, *, trusted: bool = False) -> Account:
    return desk.redeem(desk.prove(asked, now * 1000, trusted=trusted), now)


def test_a_new_account_is_stored_and_polled_and_its_history_begun() -> None:
    accounts, begun = MemoryAccounts(), list[Account]()
    desk = desk_on(MemoryServer(), accounts, begun.append)
    account = connect(desk, WANTED)
    assert accounts.get(account.id) == account and account.state is SyncState.INITIALIZING
    poll = Poll(account_id=account.id, active_at=5, host="mail.example", application_id="app")
    assert list(desk.polls.all()) == [poll]
    assert begun == [account]


def test_a_proof_alone_changes_nothing() -> None:
    accounts, queues, begun = MemoryAccounts(), MemoryQueues(), list[Account]()
    desk = desk_on(MemoryServer(), accounts, begun.append, queues)
    desk.prove(WANTED, 5000)
    assert not accounts.rows
    first = connect(desk, WANTED)
    before = (dict(accounts.rows), dict(accounts.sealed), list(begun), list(queues.sent))
    change = connection.load(body(history_days=1, folder_history_days={"spam": "none"})).window
    desk.prove(wanted(name="Mallory", password="other", window=change), 9000)
    assert before == (accounts.rows, accounts.sealed, begun, queues.sent)
    assert accounts.rows == {first.id: first}


def test_connecting_again_renews_the_same_account_and_has_it_compared() -> None:
    begun, queues = list[Account](), MemoryQueues()
    desk = desk_on(MemoryServer(), begin=begun.append, queues=queues)
    first = connect(desk, WANTED)
    again = connect(desk, replace(WANTED, name="Mira O."), 9)
    assert (again.id, again.linked_at, again.name) == (first.id, 5, "Mira O.")
    assert again.epoch == first.epoch, "the same mailbox: its tokens stay"
    assert queues.sent == [CompareAccount(account_id=first.id)]
    assert begun == [first]


class TestWhoseMailboxItIs:
    @pytest.mark.parametrize(
        "asked",
        [
            wanted("mallory"),
            wanted("mira", "mail.evil.example"),
            wanted("mira", "mail.example.evil.example"),
            wanted("mira@evil.example"),
            wanted("mira", "xn--mail-xyz.example"),
            wanted("mira", email_address="MIRA@KESTREL.EXAMPLE", host="evil.example"),
        ],
    )
    @pytest.mark.parametrize("reauth", [False, True])
    def test_an_address_gives_no_account_to_another_login(self, asked: Connection, reauth: bool) -> None:
        desk = desk_on(MemoryServer())
        victim = connect(desk, WANTED)
        if reauth:
            asked = replace(asked, reauth_account_id=victim.id)
        with pytest.raises(ConnectFailed) as caught:
            connect(desk, asked, 9)
        assert caught.value.status == (400 if reauth else 403)
        with pytest.raises(ConnectFailed):
            desk.redeem(Proof(wanted=asked, provider="imap", at=9000), 9)
        assert desk.accounts.get(victim.id) == victim

    def test_another_port_of_the_host_is_another_server_unless_it_is_imaps_own(self) -> None:
        at = [login_of(replace(SERVER, port=port)) for port in (143, 993, 1143, 1993)]
        assert at[0] == at[1] and len({one.key for one in at}) == 3

    @pytest.mark.parametrize(
        ("host", "user"),
        [
            ("MAIL.Example", "mira"), ("mail.example.", "mira"), ("mail.example", "MIRA"),
            ("mail.example", "Mira"), ("mail.example", " mira"),
        ],
    )  # fmt: skip
    def test_spellings_of_one_login_are_one_mailbox(self, host: str, user: str) -> None:
        desk = desk_on(MemoryServer())
        first = connect(desk, WANTED)
        again = connect(desk, wanted(user, host), 9)
        assert again.id == first.id and again.login == first.login

    @pytest.mark.parametrize(
        ("host", "user"),
        [
            ("imap.googlemail.com", "mira.okafor@gmail.com"), ("imap.gmail.com", "miraokafor"),
            ("IMAP.gmail.com", "M.i.r.a.okafor@googlemail.com"),
        ],
    )  # fmt: skip
    def test_gmails_spellings_are_one_mailbox(self, host: str, user: str) -> None:
        desk = desk_on(MemoryServer())
        first = connect(desk, wanted("mira.okafor@gmail.com", "imap.gmail.com"))
        assert connect(desk, wanted(user, host), 9).id == first.id
        dotted = login_of(replace(SERVER, host="imap.gmail.com", username="a.b@corp.example"))
        plain = login_of(replace(SERVER, host="imap.gmail.com", username="ab@corp.example"))
        assert dotted.key != plain.key, "dots count but in Google's own domains"

    def test_another_spelling_must_be_proven_under_the_stored_one(self) -> None:
        opened: list[str] = []

        def case_counts(kind: str, settings: MailSettings) -> Any:
            opened.append(settings.imap.username)
            return Refusing() if opened[-1] == "mira" else MemoryServer()

        accounts = MemoryAccounts()
        victim = connect(desk_on(MemoryServer(), accounts), WANTED)
        desk = replace(desk_on(MemoryServer(), accounts), open_mailbox=case_counts)
        with pytest.raises(ConnectFailed):
            desk.prove(wanted("MIRA"), 9000)
        assert opened == ["mira"]
        with pytest.raises(ConnectFailed):  # a proof from before the victim came
            desk.redeem(Proof(wanted=wanted("MIRA"), provider="imap", at=1), 9)
        with pytest.raises(ConnectFailed):
            desk.redeem(Proof(wanted=wanted("MIRA"), provider="imap", at=99_000), 9)
        assert accounts.rows == {victim.id: victim}

    def test_one_mailbox_is_one_account_under_whatever_addresses(self) -> None:
        accounts = MemoryAccounts()
        desk = desk_on(MemoryServer(), accounts)
        first = connect(desk, WANTED)
        for number in range(11):
            again = connect(desk, replace(WANTED, email_address=f"alias{number}@kestrel.example"), 9)
            assert (again.id, again.email_address) == (first.id, "mira@kestrel.example")
        other = connect(desk, replace(WANTED, application_id="app2"), 9)
        assert len(accounts.rows) == 2 and other.id != first.id

    def test_an_account_of_an_earlier_version_is_known_by_its_settings(self) -> None:
        accounts = MemoryAccounts()
        desk = desk_on(MemoryServer(), accounts)
        first = connect(desk, WANTED)
        accounts.rows[first.id] = replace(first, login=None, proved_at=0, epoch=0)
        with pytest.raises(ConnectFailed):
            connect(desk, wanted("mallory"), 9)
        again = connect(desk, WANTED, 9)
        assert again.id == first.id and again.login == first.login and again.epoch == 0


class TestAnotherLogin:
    def test_the_application_may_give_an_account_another_login_which_ends_its_tokens(self) -> None:
        accounts = MemoryAccounts()
        desk = desk_on(MemoryServer(), accounts)
        first = connect(desk, WANTED)
        accounts.rows[first.id] = replace(first, frozen=(FROZEN,))
        moved = wanted("mira", "new.example", reauth_account_id=first.id)
        again = connect(desk, moved, 5, trusted=True)
        assert again.id == first.id
        assert again.epoch != first.epoch, "even within the same millisecond"
        assert again.frozen == (), "what was missed in one mailbox is not removed because of another"
        with pytest.raises(ConnectFailed):
            connect(desk, WANTED, 10)

    def test_without_naming_the_account_not_even_the_application_may(self) -> None:
        desk = desk_on(MemoryServer())
        connect(desk, WANTED)
        with pytest.raises(ConnectFailed):
            desk.prove(wanted("mallory"), 9000, trusted=True)

    def test_an_account_does_not_become_the_mailbox_of_another_account(self) -> None:
        accounts = MemoryAccounts()
        desk = desk_on(MemoryServer(), accounts)
        first = connect(desk, WANTED)
        connect(desk, wanted("jonas", email_address="jonas@kestrel.example"))
        asked = wanted("jonas", reauth_account_id=first.id)
        with pytest.raises(ConnectFailed) as caught:
            desk.prove(asked, 9000, trusted=True)
        assert caught.value.status == 409 and accounts.rows[first.id] == first

    @pytest.mark.parametrize("trusted", [False, True])
    def test_what_reauth_account_id_misses_looks_the_same(self, trusted: bool) -> None:
        desk = desk_on(MemoryServer())
        victim = connect(desk, wanted("victim", email_address="victim@kestrel.example"))
        foreign = connect(desk, replace(WANTED, application_id="app2"))
        answers = []
        for id in ("nobody", "x" * 25, foreign.id, victim.id, "\N{SNOWMAN}"):
            with pytest.raises(ConnectFailed) as caught:
                desk.prove(wanted("mallory", reauth_account_id=id), 9000, trusted=trusted)
            answers.append((caught.value.status, caught.value.body()))
        assert all(answer == answers[0] for answer in answers)


class TestRaces:
    def test_the_newer_proof_wins_whichever_is_redeemed_last(self) -> None:
        accounts, queues = MemoryAccounts(), MemoryQueues()
        desk = desk_on(MemoryServer(), accounts, queues=queues)
        old = desk.prove(wanted(password="old", name="Old"), 1000)
        new = desk.prove(wanted(password="new", name="New"), 2000)
        account = desk.redeem(new, 3)
        assert desk.redeem(old, 4) == account, "the same mailbox was proven: it gives access, no settings"
        assert (
            accounts.settings(account.id).imap.password == "new" and accounts.rows[account.id].name == "New"
        )
        assert not queues.sent

    def test_settings_proven_twice_are_applied_as_a_whole(self) -> None:
        accounts = MemoryAccounts()
        desk = desk_on(MemoryServer(), accounts)
        old = desk.prove(wanted(password="old", name="Old"), 1000)
        new = desk.prove(wanted(password="new", name="New"), 2000)
        desk.redeem(old, 3)
        account = desk.redeem(new, 4)
        assert (account.name, accounts.settings(account.id).imap.password) == ("New", "new")

    def test_a_proof_of_the_login_before_gives_nothing(self) -> None:
        desk = desk_on(MemoryServer())
        first = connect(desk, WANTED)
        late = desk.prove(WANTED, 6000)
        named = desk.prove(replace(WANTED, reauth_account_id=first.id), 6000, trusted=True)
        connect(desk, wanted("mira", "new.example", reauth_account_id=first.id), 9, trusted=True)
        for proof in (late, named):
            with pytest.raises(ConnectFailed):
                desk.redeem(proof, 10)

    def test_whoever_is_overtaken_by_another_login_is_refused(self) -> None:
        accounts = MemoryAccounts()
        desk = desk_on(MemoryServer(), accounts)
        mine, others = desk.prove(WANTED, 1000), desk.prove(wanted("mallory"), 2000)
        victim = desk.redeem(mine, 3)
        with pytest.raises(ConnectFailed):
            desk.redeem(others, 3)
        assert accounts.rows == {victim.id: victim}

    @pytest.mark.parametrize("times", [1, 3])
    def test_an_account_that_changes_meanwhile_is_looked_at_again(self, times: int) -> None:
        class Moving(MemoryAccounts):
            left = times

            def reconnect(self, stored: Account, renewed: Account, settings: Any) -> Account:
                if self.left:
                    self.left -= 1
                    self.rows[stored.id] = replace(self.rows[stored.id], rev=stored.rev + 5)
                return super().reconnect(stored, renewed, settings)

        desk = desk_on(MemoryServer(), Moving())
        first = connect(desk, WANTED)
        assert connect(desk, replace(WANTED, name="New"), 9).rev > first.rev + 5


class Refusing(MemoryServer):
    """Its IMAP side cannot be reached."""

    def collections(self) -> Any:
        raise ProviderError("220 a banner of somebody's", step="dns")


class NoSending(MemoryServer):
    """Its SMTP side refuses the login."""

    def verify(self) -> None:
        raise SendFailed(403, "535 a banner of somebody's", server_error="a banner")


class Odd(MemoryServer):
    """Its SMTP side fails where no mailbox is."""

    def verify(self) -> None:
        raise SendFailed(503, "550 a banner of somebody's", step="mailbox")


@pytest.mark.parametrize(
    ("server", "step", "side", "status"),
    [(Refusing(), "dns", "imap", 400), (NoSending(), "login", "smtp", 403), (Odd(), "tcp", "smtp", 400)],
)
def test_a_failure_names_its_step_in_our_own_words_and_stores_nothing(
    server: Any, step: str, side: str, status: int
) -> None:
    accounts = MemoryAccounts()
    with pytest.raises(ConnectFailed) as caught:
        connect(desk_on(server, accounts), WANTED)
    assert (caught.value.details["error"], caught.value.details["server"]) == (step, side)
    assert "banner" not in repr(caught.value.body()) and "mail.example" in caught.value.message
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
    account = connect(desk, WANTED)
    assert (account.provider, account.organization_unit) == ("gmail", "label")
    again = connect(desk, WANTED, 9)
    assert again.provider == "gmail" and server.kinds == ["detect", "gmail"]


def test_an_account_with_folders_stays_one_whatever_its_server_offers_now() -> None:
    accounts, server = MemoryAccounts(), Labelling()
    folders = connect(desk_on(MemoryServer(), accounts), WANTED)
    assert (folders.provider, folders.organization_unit) == ("imap", "folder")
    assert connect(desk_on(server, accounts), WANTED, 9).provider == "imap"
    assert server.kinds == ["imap"]
    early = Proof(wanted=WANTED, provider="gmail", at=99_000)  # proven when there was no account yet
    assert desk_on(server, accounts).redeem(early, 100).provider == "imap"


def test_a_window_may_be_given_and_stays_when_connecting_again() -> None:
    desk = desk_on(MemoryServer())
    window = {"history_days": 7, "folder_history_days": {"spam": "none"}}
    first = connect(desk, connection.load(body(**window)))
    assert (first.history_days, first.folder_days) == (7, {"spam": None})
    again = connect(desk, connection.load(body()), 9)
    assert (again.history_days, again.folder_days) == (7, {"spam": None})
    other = connect(desk, connection.load(body(history_days=0)), 9)
    assert (other.history_days, other.folder_days) == (0, {"spam": None})


@pytest.mark.parametrize("window", [{"history_days": "x"}, {"folder_history_days": {"attic": 5}}])
def test_a_bad_window_is_refused_before_anything_is_tried(window: Any) -> None:
    with pytest.raises(ConnectFailed) as caught:
        connection.load(body(**window))
    assert caught.value.details["error"] == "Invalid history window"
