"""Folder names, roles and the small parsers of the IMAP adapter."""

from __future__ import annotations

import pytest

from chalicelib.errors import AuthRejected, Gone, ProviderError, Throttled
from chalicelib.providers.imap.folders.roles import Listed, display_name, roles
from chalicelib.providers.imap.protocol.failures import failure, login_failure
from chalicelib.providers.imap.protocol.lines import Line, Literal, astring, tokens
from chalicelib.providers.imap.protocol.numbers import uid_sets


def folder(raw: bytes, *attributes: str, separator: str = "/") -> Listed:
    return Listed(raw, frozenset(a.upper() for a in attributes), separator)


def roles_of(*folders: Listed) -> dict[bytes, str]:
    return roles([(listed, display_name(listed, "INBOX.")) for listed in folders])


def test_attributes_come_before_names() -> None:
    found = roles_of(folder(b"INBOX"), folder(b"Sent"), folder(b"Outgoing", "\\Sent"))
    assert found == {b"INBOX": "inbox", b"Outgoing": "sent"}


def test_names_serve_where_attributes_are_missing() -> None:
    found = roles_of(folder(b"INBOX"), folder(b"Sent Items"), folder(b"Deleted Items"), folder(b"Work/Sent"))
    assert found == {b"INBOX": "inbox", b"Sent Items": "sent", b"Deleted Items": "trash"}


def test_a_localised_name_counts_only_if_it_is_the_only_one() -> None:
    assert roles_of(folder(b"Papierkorb")) == {b"Papierkorb": "trash"}
    assert roles_of(folder(b"Papierkorb"), folder(b"Corbeille")) == {}


def test_each_role_goes_to_one_folder_and_each_folder_has_one() -> None:
    found = roles_of(folder(b"A", "\\Junk", "\\Trash"), folder(b"B", "\\Junk"), folder(b"Spam"))
    assert found == {b"A": "spam"}


@pytest.mark.parametrize(
    ("raw", "separator", "shown"),
    [
        (b"INBOX.Work.2024", ".", "Work/2024"),
        (b"INBOX", ".", "INBOX"),
        (b"Entw&APw-rfe", "/", "Entwürfe"),
        (b"R&D", "/", "R&D"),
        (b"caf\xe9", "/", "café"),
    ],
)
def test_names_are_shown_with_slashes_and_without_namespace(raw: bytes, separator: str, shown: str) -> None:
    assert display_name(folder(raw, separator=separator), "INBOX.") == shown


def test_uids_become_short_sets_of_ranges() -> None:
    assert list(uid_sets([5, 1, 2, 3])) == [b"1:3,5"]
    sets = list(uid_sets(range(1, 4001, 2)))
    assert max(map(len, sets)) <= 1000
    assert b",".join(sets).split(b",") == [b"%d" % uid for uid in range(1, 4001, 2)]


def test_arguments_are_quoted_or_sent_as_literals() -> None:
    assert astring('a"b\\c') == b'"a\\"b\\\\c"'
    assert isinstance(astring("tab\there"), Literal) and isinstance(astring("é"), Literal)


def test_answers_are_read_with_quotes_literals_and_lists() -> None:
    line = Line(b'* LIST (\\A \\B) "/" {3} ("x" (NIL "q\\"{9}"))', [b"a b"])
    assert tokens(line)[2:] == [[b"\\A", b"\\B"], b"/", b"a b", [b"x", [b"NIL", b'q"{9}']]]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[AUTHENTICATIONFAILED] no", AuthRejected),
        ("LOGIN failed.", AuthRejected),
        ("[ALERT] Too many simultaneous connections.", Throttled),
        ("[UNAVAILABLE] Temporary authentication failure.", Throttled),
        ("User is authenticated but not connected.", ProviderError),
    ],
)
def test_only_a_plain_refusal_blames_the_credentials(text: str, kind: type[ProviderError]) -> None:
    error = login_failure(text)
    assert type(error) is kind and error.details["step"] == "login"


def test_refusals_after_login_keep_their_meaning() -> None:
    throttled = failure("Request is throttled. Suggested Backoff Time: 299961 milliseconds")
    assert isinstance(throttled, Throttled) and throttled.details["retry_after"] == 300
    assert isinstance(failure("[NONEXISTENT] no such mailbox"), Gone)
