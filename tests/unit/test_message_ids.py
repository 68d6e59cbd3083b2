"""What names a mail in its headers, and what only looks like it."""

from __future__ import annotations

import pytest

from chalicelib.formats.mime.mime import ParsedMail, parse


def parsed(*lines: str) -> ParsedMail:
    return parse("\r\n".join(["From: Ann <ann@x.example>", "To: bob@x.example", *lines, "", "text"]).encode())


@pytest.mark.parametrize(
    "value",
    [
        "null", "<null>", "0", "<0>", "None", "undefined", "<undefined@x>", "NaN", "<>", "<@>", "<@x>",
        'Your message of "Mon, 17 Jan 2005 10:00:00 +0100"', "your mail of Monday", "Re: the plan",
        "bob@x.example", "<bob@x.example>", "Bob <bob@x.example>", "Carl <carl@elsewhere.example>", "<id@>",
        "carl@elsewhere.example", "carl1985@elsewhere.example", '"Carl <carl@elsewhere.example>"', "a" * 50,
        "Message from Carl <carl@elsewhere.example>", "Nachricht von Carl <carl@elsewhere.example>",
        "(Carl <carl@elsewhere.example>)", "<two words>", "<" + "1" * 2000 + "@x>", "20050117", "<12345>",
        "Mon, 17 Jan 2005", "message 20060117140128.GA17@x.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("header", ["In-Reply-To", "References"])
def test_words_dates_and_addresses_are_no_ids(header: str, value: str) -> None:
    read = parsed(f"{header}: {value}")
    assert (read.in_reply_to, read.references) == (None, ())


@pytest.mark.parametrize(
    ("value", "id"),
    [
        ('Message from Bob <bob@x> of "Sun" <id@x>', "<id@x>"),
        ('Your message of "Mon, 17 Jan" <id@x>', "<id@x>"),
        ("<id@x>; from bob@x on Mon, Jan 17, 2005 at 10:00AM", "<id@x>"),
        ('<id@x>; from "Bob <bob@x>" on Monday', "<id@x>"),
        ("<id@x> from Bob <bob@x>", "<id@x>"),
        ("<id@x> (Bob's message of Monday <bob@x>)", "<id@x>"),
        ("Nachricht von Bob <bob@x> vom Sonntag <id@x>", "<id@x>"),
        ("<bob@x.example> <id@x>", "<id@x>"),
        ("<i\r\n d@x>", "<id@x>"),
        ("<id@x> <later@x>", "<later@x>"),
        ('<"quoted id"@x>', '<"quotedid"@x>'),
        ("=?utf-8?q?=3Cid=40x=3E?=", "<id@x>"),
        ("=?utf-8?B?PGlkQHg+?=", "<id@x>"),
        ("=?us-ascii?Q?=3Clong-?=\r\n =?us-ascii?Q?part=40x=3E?=", "<long-part@x>"),
        ("20060117140128.GA17@x.example", "<20060117140128.GA17@x.example>"),
        ("<20060117140128.GA17>", "<20060117140128.GA17>"),
    ],
)
def test_the_last_id_of_in_reply_to_is_what_is_answered(value: str, id: str) -> None:
    read = parsed(f"In-Reply-To: {value}")
    assert (read.in_reply_to, read.references) == (id, (id,))


@pytest.mark.parametrize(
    ("value", "id"),
    [
        ("<id@x>", "<id@x>"),
        ("id@x", "<id@x>"),
        ("=?utf-8?Q?=3Cid=40x=3E?=", "<id@x>"),
        ("<ann@x.example>", "<ann@x.example>"),
        ("null", None),
        ("<null>", None),
        ("", None),
        (f"<{'1' * 2000}@x>", None),
    ],
)
def test_a_mail_is_named_by_an_id_or_not_at_all(value: str, id: str | None) -> None:
    assert parsed(f"Message-ID: {value}").message_id == id


def test_references_are_all_ids_in_their_order_without_the_mails_own() -> None:
    read = parsed(
        "Message-ID: <4@x>",
        "References: <1@x> null from Carl <carl@elsewhere.example>",
        " =?utf-8?q?=3C2=40x=3E?= <4@x>",
        "In-Reply-To: <3@x>",
    )
    assert read.references == ("<1@x>", "<2@x>", "<3@x>")


def test_of_very_many_references_the_first_and_the_latest_stay() -> None:
    read = parsed("References: " + " ".join(f"<{number}@x>" for number in range(500)))
    assert len(read.references) == 100
    assert (read.references[0], read.references[1], read.references[-1]) == ("<0@x>", "<401@x>", "<499@x>")


@pytest.mark.parametrize("piece", ["<", "<a", '"', "(", "<a@x", "<>", "(<", '"<', "=?utf-8?q?", "a@", "1"])
def test_a_megabyte_of_anything_is_read(piece: str) -> None:
    value = piece * (1_000_000 // len(piece))
    assert len(parsed(f"References: {value}", f"In-Reply-To: {value}").references) <= 100
