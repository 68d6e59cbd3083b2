"""The Gmail of the tests as an independent client sees it, and the search in Gmail's own language."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from imapclient import FLAGGED, SEEN, IMAPClient, imap_utf7
from imapclient.exceptions import IMAPClientError

from chalicelib.errors import InvalidRequest, ProviderError
from chalicelib.providers.imap.fetch.mailbox import open_mailbox
from chalicelib.providers.imap.gmail.gmail_search import search
from chalicelib.providers.imap.protocol.session import Session, open_session
from tests.contract.provider import mail
from tests.fakes.ascii_only import KnowsAsciiOnly
from tests.fakes.gmail_account import HERE, settings_of
from tests.fakes.gmail_server import PASSWORD, GmailServer
from tests.fakes.gmail_store import ENGLISH, GmailStore

ALL, TRASH = ENGLISH["all"], ENGLISH["trash"]
LABELS, THREAD, IDENTITY = b"X-GM-LABELS", b"X-GM-THRID", b"X-GM-MSGID"


@pytest.fixture
def server() -> Iterator[GmailServer]:
    with GmailServer() as running:
        yield running


@pytest.fixture
def store(server: GmailServer) -> GmailStore:
    return server.store("mira")


@pytest.fixture
def client(server: GmailServer, store: GmailStore) -> Iterator[IMAPClient]:
    with IMAPClient("127.0.0.1", port=server.port, ssl=False) as opened:
        opened.login("mira", PASSWORD)
        yield opened


@pytest.fixture
def session(server: GmailServer, store: GmailStore) -> Iterator[Session]:
    opened = open_session(settings_of(server), reach=HERE)
    yield opened
    opened.close()


def test_one_mail_is_in_the_mailbox_of_each_label(client: IMAPClient, store: GmailStore) -> None:
    one = store.deliver(mail(1), ("\\Inbox", imap_utf7.encode("Reisen/Köln").decode()))
    client.create_folder("Entwürfe")
    client.select_folder(ALL)
    client.add_gmail_labels([1], ["Entwürfe", "two words"])
    seen = {}
    for attributes, _, name in client.list_folders():
        if b"\\Noselect" in attributes:
            continue
        client.select_folder(name, readonly=True)
        for data in client.fetch(client.search(), [IDENTITY, LABELS]).values():
            seen[name] = data[IDENTITY]
    assert set(seen.values()) == {one.msgid}
    assert {"INBOX", ALL, "Entwürfe", "two words"} < seen.keys() and len(seen) == 5


def test_labels_are_read_added_removed_and_replaced(client: IMAPClient, store: GmailStore) -> None:
    store.deliver(mail(1), ("\\Inbox", "one"))
    client.select_folder(ALL)
    assert client.get_gmail_labels([1]) == {1: ["\\Inbox", "one"]}
    assert client.add_gmail_labels([1], ["Entwürfe", 'q"uo\\te']) == {
        1: ["Entwürfe", "\\Inbox", "one", 'q"uo\\te']
    }
    assert client.remove_gmail_labels([1], ["one", "\\Inbox", 'q"uo\\te']) == {1: ["Entwürfe"]}
    client.set_gmail_labels([1], ["\\Starred", "last"], silent=True)
    assert client.get_gmail_labels([1]) == {1: ["\\Starred", "last"]}
    assert FLAGGED in client.get_flags([1])[1]


def test_a_mailbox_does_not_name_its_own_label(client: IMAPClient, store: GmailStore) -> None:
    store.deliver(mail(1), ("\\Inbox", "one"))
    client.select_folder("one")
    assert client.get_gmail_labels([1]) == {1: ["\\Inbox"]}
    client.select_folder("INBOX")
    assert client.get_gmail_labels([1]) == {1: ["one"]}


def test_deleting_from_a_mailbox_only_takes_its_label_off(client: IMAPClient, store: GmailStore) -> None:
    one = store.deliver(mail(1), ("\\Inbox", "one"))
    client.select_folder("INBOX")
    client.delete_messages([1])
    client.expunge()
    assert (one.labels, one.place) == ({"one"}, "all")
    client.select_folder(TRASH)
    assert client.search() == []


def test_the_bin_takes_a_mail_out_of_everywhere_and_gives_it_back(
    client: IMAPClient, store: GmailStore
) -> None:
    one = store.deliver(mail(1), ("\\Inbox", "one"))
    client.select_folder("one")
    client.move([1], TRASH)
    assert {name for name, box in store.boxes.items() if box.mails} == {TRASH}
    assert one.labels == {"one"}
    client.select_folder(TRASH)
    client.move([1], "INBOX")
    assert {name for name, box in store.boxes.items() if box.mails} == {"INBOX", ALL, "one"}


def test_a_change_of_labels_moves_the_modseq_and_a_quiet_mail_keeps_its_own(
    client: IMAPClient, store: GmailStore
) -> None:
    for number in range(3):
        store.deliver(mail(number))
    before = client.folder_status(ALL, ["HIGHESTMODSEQ"])[b"HIGHESTMODSEQ"]
    client.select_folder(ALL)
    client.add_gmail_labels([2], ["x"])
    assert client.folder_status(ALL, ["HIGHESTMODSEQ"])[b"HIGHESTMODSEQ"] > before
    assert set(client.fetch([1, 2, 3], ["FLAGS"], [f"CHANGEDSINCE {before}"])) == {2}


def test_threads_follow_references_and_mail_can_be_found(client: IMAPClient, store: GmailStore) -> None:
    first = store.deliver(mail(1), at=86_400 * 18_000)
    reply = mail(2).replace(b"Subject", b"In-Reply-To: <1@x.example>\r\nSubject")
    store.deliver(reply, ("zwei",), {SEEN.decode()}, at=86_400 * 19_000)
    client.select_folder(ALL)
    assert {row[THREAD] for row in client.fetch([1, 2], [THREAD]).values()} == {first.thrid}
    assert client.search(["X-GM-THRID", str(first.thrid)]) == [1, 2]
    assert client.search(["SINCE", date(2020, 1, 1), "NOT", "UNSEEN"]) == [2]
    assert client.search(["HEADER", "Message-ID", "<1@x.example>"]) == [1]
    assert client.search(["X-GM-LABELS", "zwei"]) == [2]
    assert client.gmail_search("label:zwei -in:inbox") == [2]
    with pytest.raises(IMAPClientError):
        client.search(["NONSENSE", "1"])


def test_parts_headers_and_slices_of_a_mail(client: IMAPClient, store: GmailStore) -> None:
    store.deliver(mail(1, "0123456789"))
    client.select_folder(ALL, readonly=True)
    keys = ["BODY.PEEK[]", "BODY.PEEK[TEXT]<3.4>", "BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)]", "RFC822.SIZE"]
    [row] = client.fetch([1], keys).values()
    assert row[b"BODY[]"] == mail(1, "0123456789") and row[b"RFC822.SIZE"] == len(row[b"BODY[]"])
    assert row[b"BODY[TEXT]<3>"] == b"3456"
    assert row[b"BODY[HEADER.FIELDS (SUBJECT DATE)]"] == b"Subject: 1\r\n\r\n"


def test_filing_what_is_there_already_only_adds_the_label(client: IMAPClient, store: GmailStore) -> None:
    at = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    for box in ("INBOX", ENGLISH["sent"]):
        client.append(box, mail(1), [SEEN], at)
    [one] = store.mails
    assert (one.labels, one.flags, one.at) == ({"\\Inbox", "\\Sent"}, {"\\Seen"}, at.timestamp())


def test_idle_tells_of_what_happens_at_the_web_page(client: IMAPClient, store: GmailStore) -> None:
    store.deliver(mail(1))
    client.select_folder("INBOX")
    client.idle()
    store.deliver(mail(2))
    assert (2, b"EXISTS") in client.idle_check(timeout=10)
    store.remove_labels(store.mails[0], ["\\Inbox"])
    assert (1, b"EXPUNGE") in client.idle_check(timeout=10)
    client.idle_done()


def test_a_wrong_password_is_refused(server: GmailServer) -> None:
    with (
        IMAPClient("127.0.0.1", port=server.port, ssl=False) as opened,
        pytest.raises(IMAPClientError, match="AUTHENTICATIONFAILED"),
    ):
        opened.login("mira", "wrong")


@pytest.fixture
def found(session: Session, store: GmailStore) -> Session:
    store.deliver(mail(1).replace(b"Subject: 1", b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= ok"))
    store.deliver(mail(2, "an invoice"), ("Taxes",), {"\\Seen"})
    store.deliver(mail(3, "an invoice"), ("\\Inbox", "Taxes"))
    open_mailbox(session, ALL)
    return session


@pytest.mark.parametrize(
    ("query", "uids"),
    [
        ("invoice", [2, 3]),
        ("label:taxes is:unread", [3]),
        ("subject:Grüße", [1]),
        ('"an invoice" -in:inbox', [2]),
        ("rfc822msgid:2@x.example", [2]),
        ('"invoice an"', []),
        ("nothing of the kind", []),
        ("", []),
        (" \0 ", []),
    ],
)
def test_gmails_own_language_finds_mail(found: Session, query: str, uids: list[int]) -> None:
    assert search(found, query) == uids


@pytest.mark.parametrize(
    ("query", "uids"),
    [
        ("Grüße", [1]),
        ("subject:grüße ok", [1]),
        ('"Grüße ok"', [1]),
        ('subject:"Grüße OK"', [1]),
        ("-Grüße", [2, 3]),
        ("Grüße -label:taxes", [1]),
        ("Grüße invoice", []),
        ("Jörg", []),
    ],
)
def test_words_outside_ascii_are_found_where_the_server_knows_no_other_charset(
    found: Session, monkeypatch: pytest.MonkeyPatch, query: str, uids: list[int]
) -> None:
    monkeypatch.setattr(found, "wire", KnowsAsciiOnly(found.wire))
    assert search(found, query) == uids


@pytest.mark.parametrize("query", ["{Grüße invoice}", "Grüße OR invoice", "(Grüße)", "filename:ü.pdf"])
def test_what_only_gmail_understands_is_then_refused(
    found: Session, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(found, "wire", KnowsAsciiOnly(found.wire))
    with pytest.raises(InvalidRequest):
        search(found, query)


@pytest.mark.parametrize(
    "query",
    [
        "x\r\nA1 UID STORE 1:* +X-GM-LABELS (\\Trash)\r\n",
        'x" UID 1:*',
        "x\\",
        "{5}",
        "\ud800zz",
        "invoice) ALL (",
        "a" * 100_000,
    ],
)
def test_a_query_is_never_taken_for_a_command(
    found: Session, server: GmailServer, store: GmailStore, query: str
) -> None:
    before, count = [one.modseq for one in store.mails], len(server.commands)
    with contextlib.suppress(ProviderError):  # the server may refuse it, and the connection lives on
        assert search(found, query) == []
    assert search(found, "invoice") == [2, 3]
    assert server.commands[count:] == ["UID SEARCH", "UID SEARCH"]
    assert [one.modseq for one in store.mails] == before
