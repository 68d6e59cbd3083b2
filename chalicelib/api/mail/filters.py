"""What a list request asks for, as predicates over messages and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Address, Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.errors import InvalidRequest
from chalicelib.http.query import Query

Test = Callable[[Message], bool]
ThreadTest = Callable[[Thread], bool]
_PEOPLE: dict[str, Callable[[Message], tuple[Address, ...]]] = {
    "from": attrgetter("sender"),
    "to": attrgetter("to"),
    "cc": attrgetter("cc"),
    "bcc": attrgetter("bcc"),
}
_METADATA = frozenset({"metadata_key", "metadata_value", "metadata_pair", "metadata_search"})
MESSAGES = (
    frozenset({"in", "unread", "starred", "thread_id", "subject", "any_email", "filename", "has_attachment"})
    | frozenset({"received_before", "received_after", *_PEOPLE})
    | _METADATA
)
_THREAD_TIMES = {"last_message_before", "last_message_after", "started_before", "started_after"}
THREADS = MESSAGES | {"not_in", *_THREAD_TIMES}


@dataclass(frozen=True, slots=True)
class ThreadFilter:
    """Tests of the thread itself, and tests that one of its messages must pass."""

    thread: tuple[ThreadTest, ...]
    message: tuple[Test, ...]

    def admits(self, thread: Thread, load: Callable[[Thread], Iterable[Message]]) -> bool:
        """Tell whether a thread is asked for; its messages are loaded only if it depends on them."""
        if not all(test(thread) for test in self.thread):
            return False
        if not self.message:
            return True
        messages = list(load(thread))
        return all(any(test(message) for message in messages) for test in self.message)


def message_filter(query: Query, folders: Mapping[str, Folder]) -> Callable[[Message], bool]:
    """Return the test for a message; dates are left to the store."""
    tests = [*_detail_tests(query), *_flag_tests(query, lambda message: bool(message.files))]
    if (subject := query.text("subject")) is not None:
        tests.append(lambda m: m.subject == subject)
    if emails := {canonical(email) for email in query.emails("any_email")}:
        tests.append(lambda m: _named(m.participants + m.reply_to, emails))
    if (name := query.text("in")) is not None:
        inside = _folder_ids(name, folders)
        tests.append(lambda m: not inside.isdisjoint(m.folder_ids))
    return lambda message: all(test(message) for test in tests)


def thread_filter(query: Query, folders: Mapping[str, Folder]) -> ThreadFilter:
    """Return the test for a thread; the time of its last message is left to the store."""
    tests: list[ThreadTest] = [
        *_flag_tests(query, lambda thread: thread.has_attachments),
        *_thread_time_tests(query),
    ]
    if (subject := query.text("subject")) is not None:
        tests.append(lambda t: t.subject == subject)
    if emails := {canonical(email) for email in query.emails("any_email")}:
        tests.append(lambda t: _named(t.participants, emails))
    if (name := query.text("in")) is not None:
        inside = _folder_ids(name, folders)
        tests.append(lambda t: not inside.isdisjoint(t.folder_ids))
    if (name := query.text("not_in")) is not None:
        outside = _folder_ids(name, folders)
        tests.append(lambda t: outside.isdisjoint(t.folder_ids))
    return ThreadFilter(tuple(tests), tuple(_detail_tests(query)))


def canonical(email: str) -> str:
    """Return an address as filters compare it: lower case; Gmail without dots and plus suffix."""
    local, _, domain = email.strip().lower().rpartition("@")
    if domain in ("gmail.com", "googlemail.com"):
        local = local.partition("+")[0].replace(".", "")
    return f"{local}@{domain}"


def _detail_tests(query: Query) -> list[Test]:
    """Tests of what only messages know."""
    tests: list[Test] = []
    for name, people in _PEOPLE.items():
        if (email := query.text(name)) is not None:
            tests.append(_people_test(people, canonical(email)))
    if (filename := query.text("filename")) is not None:
        tests.append(lambda m: any(file.filename == filename for file in m.files))
    if any(query.has(name) for name in _METADATA):
        tests.append(lambda _: False)  # no message bears metadata
    return tests


def _people_test(people: Callable[[Message], tuple[Address, ...]], email: str) -> Test:
    return lambda message: _named(people(message), {email})


def _flag_tests(query: Query, has_files: Callable[[Any], bool]) -> list[Callable[[Any], bool]]:
    """Return the tests that messages and threads share."""
    tests: list[Callable[[Any], bool]] = []
    unread, starred = query.flag("unread"), query.flag("starred")
    if unread is not None:
        tests.append(lambda one: one.unread == unread)
    if starred is not None:
        tests.append(lambda one: one.starred == starred)
    if _attachment_wanted(query):
        tests.append(has_files)
    return tests


def _thread_time_tests(query: Query) -> list[ThreadTest]:
    tests: list[ThreadTest] = []
    begun_before, begun_after = query.moment("started_before"), query.moment("started_after")
    if begun_before is not None:
        tests.append(lambda t: t.first_at < begun_before)
    if begun_after is not None:
        tests.append(lambda t: t.first_at > begun_after)
    before, after = query.moment("received_before"), query.moment("received_after")
    if before is not None:
        tests.append(lambda t: t.first_at <= before)
    if after is not None:
        tests.append(lambda t: t.last_at > after)
    return tests


def _attachment_wanted(query: Query) -> bool:
    wanted = query.flag("has_attachment")
    if wanted is False:
        raise InvalidRequest("has_attachment can only be true")
    return bool(wanted)


def _folder_ids(name: str, folders: Mapping[str, Folder]) -> frozenset[str]:
    return frozenset(f.id for f in folders.values() if name in (f.id, f.role, f.display_name))


def _named(people: Iterable[Address], emails: set[str]) -> bool:
    return any(canonical(person.email) in emails for person in people)
