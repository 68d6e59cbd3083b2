"""SEARCH of the Gmail of the tests: IMAP's keys and the part of Gmail's own language that tests need."""

from __future__ import annotations

import calendar
import email
import email.header
import re
import time
from collections.abc import Callable
from typing import Any

from tests.fakes.gmail_store import SYSTEM, Box, Mail

Test = Callable[[int, Mail], bool]
_WORD = re.compile(r'-?(?:\w+:)?"[^"]*"|\S+')
_FLAGS = {"SEEN": "\\Seen", "FLAGGED": "\\Flagged", "ANSWERED": "\\Answered", "DRAFT": "\\Draft"}


class BadSearch(Exception):
    """The server answers BAD."""


def uid_set(text: str, last: int) -> Callable[[int], bool]:
    """Return the test for a set such as 4,7:9,12:*."""
    ranges = []
    for part in text.split(","):
        ends = [last if end == "*" else int(end) for end in part.split(":")]
        ranges.append((min(ends), max(ends)))
    return lambda uid: any(low <= uid <= high for low, high in ranges)


def search(box: Box, words: list[Any]) -> list[int]:
    """Return the UIDs that a SEARCH finds; its words are strings, bytes for literals, and lists."""
    rest, tests = list(words), []
    while rest:
        tests.append(_key(rest, max(box.mails, default=0)))
    return [uid for uid, mail in box.mails.items() if all(test(uid, mail) for test in tests)]


def _key(rest: list[Any], last: int) -> Test:
    word = rest.pop(0)
    if isinstance(word, list):
        inner = list(word)
        tests = []
        while inner:
            tests.append(_key(inner, last))
        return lambda uid, mail: all(test(uid, mail) for test in tests)
    name = str(word).upper()
    if name in ("NOT", "OR"):
        return _combined(name, rest, last)
    if name == "CHARSET":
        if _text(rest.pop(0)).upper() not in ("UTF-8", "US-ASCII"):
            raise BadSearch("charset")
        return lambda uid, mail: True
    if name in ("ALL",):
        return lambda uid, mail: True
    if name.removeprefix("UN") in _FLAGS:
        flag, wanted = _FLAGS[name.removeprefix("UN")], not name.startswith("UN")
        return lambda uid, mail: (flag in mail.flags) is wanted
    return _valued(name, rest, last)


def _combined(name: str, rest: list[Any], last: int) -> Test:
    one = _key(rest, last)
    if name == "NOT":
        return lambda uid, mail: not one(uid, mail)
    other = _key(rest, last)
    return lambda uid, mail: one(uid, mail) or other(uid, mail)


def _valued(name: str, rest: list[Any], last: int) -> Test:
    if name[0].isdigit() or name[0] == "*":
        raise BadSearch("sequence numbers")
    value = _text(rest.pop(0))
    if name == "UID":
        within = uid_set(value, last)
        return lambda uid, mail: within(uid)
    if name in ("SINCE", "BEFORE", "LARGER"):
        return _measured(name, value)
    if name == "HEADER":
        wanted = _text(rest.pop(0)).lower()
        return lambda uid, mail: wanted in mail.header(value).lower()
    if name == "X-GM-RAW":
        return _raw(value)
    if name == "X-GM-LABELS":
        return lambda uid, mail: value.lower() in (label.lower() for label in mail.shown_labels())
    if name in ("X-GM-MSGID", "X-GM-THRID"):
        return lambda uid, mail: value == str(mail.msgid if name == "X-GM-MSGID" else mail.thrid)
    raise BadSearch(name)


def _measured(name: str, value: str) -> Test:
    if name == "LARGER":
        return lambda uid, mail: len(mail.raw) > int(value)
    at = calendar.timegm(time.strptime(value, "%d-%b-%Y"))
    return lambda uid, mail: (mail.at >= at) is (name == "SINCE")


def _text(word: Any) -> str:
    return word.decode("utf-8") if isinstance(word, bytes) else str(word)


def _raw(query: str) -> Test:
    """Words that must all be there; `-` turns one round."""
    tests = []
    for word in _WORD.findall(query):
        test = _word(word.removeprefix("-").replace('"', ""))
        tests.append(_opposite(test) if word.startswith("-") else test)
    return lambda uid, mail: all(test(uid, mail) for test in tests)


def _opposite(test: Test) -> Test:
    return lambda uid, mail: not test(uid, mail)


def _word(word: str) -> Test:
    name, _, value = word.partition(":")
    value = value.lower()
    if name in ("from", "to", "subject") and value:
        return lambda uid, mail: value in _header(mail, name)
    if name == "rfc822msgid":
        return lambda uid, mail: mail.header("Message-ID").strip("<>").lower() == value.strip("<>")
    if name == "is":
        return lambda uid, mail: {
            "unread": "\\Seen" not in mail.flags,
            "starred": "\\Flagged" in mail.flags,
            "important": "\\Important" in mail.labels,
        }.get(value, False)
    if name in ("label", "in"):
        label = SYSTEM.get(value, value).lower()
        return lambda uid, mail: label in (one.lower().replace(" ", "-") for one in mail.labels)
    return lambda uid, mail: word.lower() in _words(mail)


def _header(mail: Mail, name: str) -> str:
    raw = email.message_from_bytes(mail.raw).get(name, "")
    return str(email.header.make_header(email.header.decode_header(raw))).lower()


def _words(mail: Mail) -> str:
    return " ".join([_header(mail, "subject"), mail.raw.decode("utf-8", "replace").lower()])
