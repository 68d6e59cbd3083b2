"""A label that is no longer on the server is taken off every message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from chalicelib.domain.mail.folder import Folder
from chalicelib.store.ports.mail import Mail
from chalicelib.store.values import MailChanges, Revised
from chalicelib.sync.core.retrying import until_fresh
from chalicelib.sync.mail.rethreading import rethreaded

_TOGETHER = 100
"""So many messages lose a label in one write."""


def unlabel(mail: Mail, account_id: str, label: Folder, sent: Folder | None) -> None:
    """Take a label off all messages of an account, newest first. Repeating it goes on where it stopped.

    All rows are read, for no look-up leads from a label to its messages; labels are deleted seldom.
    """
    bearers = (m.id for m in mail.newest_messages(account_id) if label.id in m.label_ids)
    while part := list(islice(bearers, _TOGETHER)):
        until_fresh(partial(_strip, mail, account_id, part, label.id, sent.id if sent else None))


def _strip(mail: Mail, account_id: str, ids: Sequence[str], label_id: str, sent: str | None) -> None:
    old = [m for m in mail.messages(account_id, ids).values() if label_id in m.label_ids]
    new = [replace(m, label_ids=tuple(id for id in m.label_ids if id != label_id)) for m in old]
    threads = mail.threads(account_id, {message.thread_id for message in new})
    changes = MailChanges(
        messages=[Revised(*pair) for pair in zip(old, new, strict=True)],
        threads=[rethreaded(thread, new, sent) for thread in threads.values()],
    )
    mail.save(account_id, changes)
