"""The objects deltas tell of: read in batches, compared with a filter, turned into JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.api.mail.shown import Shown
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import File, Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.services import services
from chalicelib.wire.accounts import account as account_wire
from chalicelib.wire.mail import file as file_wire
from chalicelib.wire.mail import folder as folder_wire

Objects = dict[str, Any]
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """How objects of one kind are read by their ids, and shown; both answer by id."""

    load: Callable[[Shown, Sequence[str]], Objects]
    dump: Callable[[Shown, Objects], dict[str, JSON]]


def _messages(shown: Shown, ids: Sequence[str]) -> dict[str, Message]:
    return services().mail.messages(shown.account.id, ids)


def _dump_messages(shown: Shown, found: Mapping[str, Message]) -> dict[str, JSON]:
    return {one["id"]: one for one in shown.messages(list(found.values()))}


def _threads(shown: Shown, ids: Sequence[str]) -> dict[str, Thread]:
    return services().mail.threads(shown.account.id, ids)


def _dump_threads(shown: Shown, found: Mapping[str, Thread]) -> dict[str, JSON]:
    return {one["id"]: one for one in shown.threads(list(found.values()))}


def _folders(shown: Shown, ids: Sequence[str]) -> dict[str, Folder]:
    return {id: shown.folders[id] for id in ids if id in shown.folders}


def _dump_folders(shown: Shown, found: Mapping[str, Folder]) -> dict[str, JSON]:
    return {id: dict(folder_wire.dump(one)) for id, one in found.items()}


def _files(shown: Shown, ids: Sequence[str]) -> dict[str, tuple[File, str]]:
    found = {id: services().mail.file(shown.account.id, id) for id in ids}
    return {id: one for id, one in found.items() if one}


def _dump_files(shown: Shown, found: Mapping[str, tuple[File, str]]) -> dict[str, JSON]:
    return {id: dict(file_wire.dump(file, shown.account.id, of)) for id, (file, of) in found.items()}


def _accounts(shown: Shown, ids: Sequence[str]) -> dict[str, Account]:
    account = services().accounts.get(shown.account.id)
    return {account.id: account} if account and account.id in ids else {}


def _dump_accounts(shown: Shown, found: Mapping[str, Account]) -> dict[str, JSON]:
    return {id: account_wire.dump(one) for id, one in found.items()}


BY_KIND: dict[str, Kind] = {
    "account": Kind(_accounts, _dump_accounts),
    "file": Kind(_files, _dump_files),
    "folder": Kind(_folders, _dump_folders),
    "label": Kind(_folders, _dump_folders),
    "message": Kind(_messages, _dump_messages),
    "thread": Kind(_threads, _dump_threads),
}
"""A kind that the store holds must stand here, or its creations and changes would not be shown."""
