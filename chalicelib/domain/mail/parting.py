"""What leaves a thread with a reply that turned out to answer another mail.

Without references a reply joins the latest mail before it, and one between the two may arrive later: from
another folder, or from history. Then the reply goes over to that, with all that hangs on it: the order of
arrival decides nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.anchor import Anchor
from chalicelib.domain.mail.groups import Groups
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.subjects import Bare, answers, candidate_of, subject_hash, subject_key
from chalicelib.domain.mail.threader import links


def parting(account: Account, messages: Collection[Message], turned: Collection[str]) -> set[str]:
    """Return the ids of a thread's messages that hang on those that have turned (by id), and those."""
    groups = Groups(sys.maxsize)
    for message in messages:
        for key, sign in links(account, message):
            groups.join(message.id, f"{key}/{sign}")
    for one, answered in _answers(messages):
        if one not in turned:
            groups.join(one, answered)
    going = {groups.find(id) for id in turned}
    return {message.id for message in messages if groups.find(message.id) in going}


def _answers(messages: Iterable[Message]) -> Iterator[tuple[str, str]]:
    bare: dict[str, list[Bare]] = {}
    for message in messages:
        if subject_key(message):
            mail = Bare(message.id, candidate_of(message, ""), new=True)
            bare.setdefault(subject_hash(message), []).append(mail)
    for mails in bare.values():
        yield from ((one.node, answered.node) for one, answered, _ in answers(mails))


def redirected(
    account: Account, anchors: Mapping[str, Anchor], messages: Iterable[Message], left: str, joined: str
) -> dict[str, Anchor]:
    """Return the Message-ID anchors of parting messages as they lead to the thread they go to."""
    found = dict(anchors)
    for message in messages:
        for key, sign in links(account, message):
            if anchor := found.get(key):
                renamed = (
                    replace(c, thread_id=joined) if (c.thread_id, c.sign) == (left, sign) else c
                    for c in anchor.candidates
                )
                found[key] = replace(anchor, candidates=tuple(dict.fromkeys(renamed)))
    return {key: anchor for key, anchor in found.items() if anchor != anchors[key]}
