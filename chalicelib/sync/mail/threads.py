"""The threads of a draft: which its messages join, what merges or parts, how each thread looks then."""

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
from chalicelib.sync.mail.unit_of_work import Draft


def thread_messages(draft: Draft, ids: Iterable[str]) -> None:
    """Give these messages their threads, merging threads that turn out to be one."""
    waiting = [message for id in dict.fromkeys(ids) if (message := draft.wanted[id]) is not None]
    if draft.shelf.account.labelled:
        _converse(draft, waiting)
        return
    turned: dict[str, tuple[str, str]] = {}
    while waiting:
        _load_threads(draft, near(draft.shelf.account, waiting, draft.anchors))
        assignment = assign(draft.shelf.account, waiting, draft.anchors, draft.threads)
        _settle(draft, assignment)
        turned |= assignment.turned
        waiting = _moved_over(draft, assignment)
        if not waiting:
            waiting, turned = _gone_over(draft, turned), {}


def changes(draft: Draft) -> MailChanges:
    """Return what a draft changes in the store, the threads of its messages as they are then."""
    derive_threads(draft)
    return draft.changes()


def derive_threads(draft: Draft) -> None:
    """Derive the touched threads from their messages."""
    sent = draft.shelf.role("sent")
    joining: dict[str, list[Message]] = {}
    for message in draft.wanted.values():
        if message is not None:
            joining.setdefault(message.thread_id, []).append(message)
    touched = joining.keys() | draft.parted
    touched |= {draft.stored[id].thread_id for id in draft.wanted.keys() & draft.stored.keys()}
    _load_threads(draft, touched)
    for thread_id in touched:
        thread = draft.threads.get(thread_id) or empty_thread(thread_id, draft.account_id)
        draft.wanted_threads[thread_id] = _revised(
            thread, joining.get(thread_id, []), _left(draft, thread), sent.id if sent else None
        )


def _settle(draft: Draft, assignment: Assignment) -> None:
    """Let messages and anchors be as they are assigned."""
    for id, thread_id in assignment.thread_of.items():
        draft.wanted[id] = replace(draft.wanted[id] or draft.stored[id], thread_id=thread_id)
    for anchor in assignment.anchors:
        draft.anchors[anchor.key] = draft.new_anchors[anchor.key] = anchor


def _converse(draft: Draft, messages: Sequence[Message]) -> None:
    """Give these messages the threads of their provider."""
    names = set(draft.conversations.values())
    ids = {conversation_id(draft.account_id, name) for name in names}
    ids |= {message.thread_id for message in messages if message.thread_id}
    led = (draft.anchors.get(conversation_key(name)) for name in names)
    ids |= {candidate.thread_id for anchor in led if anchor for candidate in anchor.candidates}
    _load_threads(draft, ids)
    room = bounds.THREAD_MESSAGES - len(messages)
    nearly_full = [id for id in ids & draft.threads.keys() if len(draft.threads[id].entries) > room]
    _load_threads(draft, {following_id(draft.account_id, id) for id in nearly_full})
    _settle(draft, converse(draft.account_id, messages, draft.conversations, draft.anchors, draft.threads))


def _moved_over(draft: Draft, assignment: Assignment) -> list[Message]:
    """Return the messages of swallowed threads under their survivor; their anchors must follow."""
    swallowed = assignment.merged.keys() - draft.wanted_threads.keys()
    draft.wanted_threads.update(dict.fromkeys(swallowed))
    for thread_id in swallowed:
        _load_entries(draft, thread_id)
    moved = [
        replace(message, thread_id=assignment.merged[message.thread_id])
        for message in draft.wanted.values()
        if message is not None and message.thread_id in assignment.merged
    ]
    _load_anchors(draft, moved)
    return moved


def _gone_over(draft: Draft, turned: Mapping[str, tuple[str, str]]) -> list[Message]:
    """Return the messages that leave their threads with some that have turned, under where they go."""
    gone: list[Message] = []
    for way in dict.fromkeys(turned.values()):
        gone += _parted(draft, *way, {id for id, its_way in turned.items() if its_way == way})
    return gone


def _parted(draft: Draft, left: str, joined: str, turned: set[str]) -> list[Message]:
    """Return what goes from one thread to another with some that have turned, if there is room for it."""
    _load_entries(draft, left)
    held = draft.threads[left].entries if left in draft.threads else {}
    mine = [
        message
        for id, message in draft.wanted.items()
        if message and (message.thread_id == left or (message.thread_id == joined and id in held))
    ]
    going = parting(draft.shelf.account, mine, turned & {message.id for message in mine})
    there = set(draft.threads[joined].entries) if joined in draft.threads else set()
    there |= {id for id, message in draft.wanted.items() if message and message.thread_id == joined}
    if len(there | going) > bounds.THREAD_MESSAGES:
        return []
    draft.parted.add(left)
    gone = [replace(message, thread_id=joined) for message in mine if message.id in going]
    _load_anchors(draft, gone)
    found = redirected(draft.shelf.account, draft.anchors, gone, left, joined)
    draft.anchors |= found
    draft.new_anchors |= found
    return gone


def _load_entries(draft: Draft, thread_id: str) -> None:
    """Read the messages of a thread."""
    _load_threads(draft, [thread_id])
    thread = draft.threads.get(thread_id)
    found = (
        draft.mail.messages(draft.account_id, thread.entries.keys() - draft.wanted.keys()) if thread else {}
    )
    draft.stored.update(found)
    draft.wanted.update(found)


def _load_anchors(draft: Draft, messages: Iterable[Message]) -> None:
    """Read what else bears on messages."""
    keys = {key for message in messages for key in anchor_keys(message)} - draft.anchors.keys()
    draft.anchors.update(draft.mail.anchors(draft.account_id, keys))


def _load_threads(draft: Draft, ids: Iterable[str]) -> None:
    missing = set(ids) - draft.threads.keys()
    draft.threads.update(draft.mail.threads(draft.account_id, missing))


def _left(draft: Draft, thread: Thread) -> list[str]:
    """Return which of the messages that a thread names are not in it any more, since a crash perhaps."""
    held = {id: draft.wanted[id] for id in thread.entries if id in draft.wanted}
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
