"""The threads of a unit of work: what its messages join, what merges or parts, how each thread looks then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from chalicelib import bounds
from chalicelib.domain.mail.conversation import conversation_id, conversation_key, converse, following_id
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.parting import parting, redirected
from chalicelib.domain.mail.retention import PAST, latest
from chalicelib.domain.mail.thread import Thread, empty_thread, with_messages, without_messages
from chalicelib.domain.mail.threader import Assignment, anchor_keys, assign, near
from chalicelib.store.values import MailChanges
from chalicelib.sync.mail.unit_of_work import UnitOfWork


def thread_messages(unit: UnitOfWork, ids: Iterable[str]) -> None:
    """Give these messages their threads, merging threads that turn out to be one."""
    waiting = [message for id in dict.fromkeys(ids) if (message := unit.wanted[id]) is not None]
    if unit.context.account.traits.threads:
        _converse(unit, waiting)
        return
    turned: dict[str, tuple[str, str]] = {}
    while waiting:
        _load_threads(unit, near(unit.context.account, waiting, unit.anchors))
        assignment = assign(unit.context.account, waiting, unit.anchors, unit.threads)
        _settle(unit, assignment)
        turned |= assignment.turned
        waiting = _moved_over(unit, assignment)
        if not waiting:
            waiting, turned = _gone_over(unit, turned), {}


def changes(unit: UnitOfWork) -> MailChanges:
    """Return what a unit of work changes in the store, the threads of its messages as they are then."""
    derive_threads(unit)
    return unit.changes()


def derive_threads(unit: UnitOfWork) -> None:
    """Derive the touched threads from their messages."""
    sent = unit.context.role("sent")
    joining: dict[str, list[Message]] = {}
    for message in unit.wanted.values():
        if message is not None:
            joining.setdefault(message.thread_id, []).append(message)
    touched = joining.keys() | unit.parted
    touched |= {unit.stored[id].thread_id for id in unit.wanted.keys() & unit.stored.keys()}
    _load_threads(unit, touched)
    for thread_id in touched:
        thread = unit.threads.get(thread_id) or empty_thread(thread_id, unit.account_id)
        unit.wanted_threads[thread_id] = _revised(
            thread, joining.get(thread_id, []), _left(unit, thread), sent.id if sent else None
        )


def _settle(unit: UnitOfWork, assignment: Assignment) -> None:
    """Let messages and anchors be as they are assigned."""
    for id, thread_id in assignment.thread_of.items():
        unit.wanted[id] = replace(unit.wanted[id] or unit.stored[id], thread_id=thread_id)
    for anchor in assignment.anchors:
        unit.anchors[anchor.key] = unit.new_anchors[anchor.key] = anchor


def _converse(unit: UnitOfWork, messages: Sequence[Message]) -> None:
    """Give these messages the threads of their provider."""
    names = set(unit.conversations.values())
    ids = {conversation_id(unit.account_id, name) for name in names}
    ids |= {message.thread_id for message in messages if message.thread_id}
    led = (unit.anchors.get(conversation_key(name)) for name in names)
    ids |= {candidate.thread_id for anchor in led if anchor for candidate in anchor.candidates}
    _load_threads(unit, ids)
    room = bounds.THREAD_MESSAGES - len(messages)
    nearly_full = [id for id in ids & unit.threads.keys() if len(unit.threads[id].entries) > room]
    _load_threads(unit, {following_id(unit.account_id, id) for id in nearly_full})
    _settle(unit, converse(unit.account_id, messages, unit.conversations, unit.anchors, unit.threads))


def _moved_over(unit: UnitOfWork, assignment: Assignment) -> list[Message]:
    """Return the messages of swallowed threads under their survivor; their anchors must follow."""
    swallowed = assignment.merged.keys() - unit.wanted_threads.keys()
    unit.wanted_threads.update(dict.fromkeys(swallowed))
    for thread_id in swallowed:
        _load_entries(unit, thread_id)
    moved = [
        replace(message, thread_id=assignment.merged[message.thread_id])
        for message in unit.wanted.values()
        if message is not None and message.thread_id in assignment.merged
    ]
    _load_anchors(unit, moved)
    return moved


def _gone_over(unit: UnitOfWork, turned: Mapping[str, tuple[str, str]]) -> list[Message]:
    """Return the messages that leave their threads with some that have turned, under where they go."""
    gone: list[Message] = []
    for way in dict.fromkeys(turned.values()):
        gone += _parted(unit, *way, {id for id, its_way in turned.items() if its_way == way})
    return gone


def _parted(unit: UnitOfWork, left: str, joined: str, turned: set[str]) -> list[Message]:
    """Return what goes from one thread to another with some that have turned, if there is room for it."""
    _load_entries(unit, left)
    held = unit.threads[left].entries if left in unit.threads else {}
    mine = [
        message
        for id, message in unit.wanted.items()
        if message and (message.thread_id == left or (message.thread_id == joined and id in held))
    ]
    going = parting(unit.context.account, mine, turned & {message.id for message in mine})
    there = set(unit.threads[joined].entries) if joined in unit.threads else set()
    there |= {id for id, message in unit.wanted.items() if message and message.thread_id == joined}
    if len(there | going) > bounds.THREAD_MESSAGES:
        return []
    unit.parted.add(left)
    gone = [replace(message, thread_id=joined) for message in mine if message.id in going]
    _load_anchors(unit, gone)
    found = redirected(unit.context.account, unit.anchors, gone, left, joined)
    unit.anchors |= found
    unit.new_anchors |= found
    return gone


def _load_entries(unit: UnitOfWork, thread_id: str) -> None:
    """Read the messages of a thread."""
    _load_threads(unit, [thread_id])
    thread = unit.threads.get(thread_id)
    found = unit.mail.messages(unit.account_id, thread.entries.keys() - unit.wanted.keys()) if thread else {}
    unit.stored.update(found)
    unit.wanted.update(found)


def _load_anchors(unit: UnitOfWork, messages: Iterable[Message]) -> None:
    """Read what else bears on messages."""
    keys = {key for message in messages for key in anchor_keys(message)} - unit.anchors.keys()
    unit.anchors.update(unit.mail.anchors(unit.account_id, keys))


def _load_threads(unit: UnitOfWork, ids: Iterable[str]) -> None:
    missing = set(ids) - unit.threads.keys()
    unit.threads.update(unit.mail.threads(unit.account_id, missing))


def _left(unit: UnitOfWork, thread: Thread) -> list[str]:
    """Return which of the messages that a thread names are not in it any more, since a crash perhaps."""
    held = {id: unit.wanted[id] for id in thread.entries if id in unit.wanted}
    return [id for id, message in held.items() if message is None or message.thread_id != thread.id]


def _revised(
    thread: Thread, joining: list[Message], leaving: list[str], sent_folder: str | None
) -> Thread | None:
    revised: Thread | None = with_messages(thread, joining, sent_folder) if joining else thread
    if revised and leaving:
        revised = without_messages(revised, leaving)
    if revised is None or not revised.entries:
        return None
    is_new = not thread.entries
    if not is_new and revised != thread:
        revised = replace(revised, version=thread.version + 1)
    held = PAST if is_new else thread.expires_at
    return replace(revised, expires_at=latest(held, *(message.expires_at for message in joining)))
