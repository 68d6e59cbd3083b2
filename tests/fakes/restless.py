"""Somebody who changes a mailbox in every way a mail program, an administrator or an accident can."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from imapclient import ANSWERED, DELETED, FLAGGED, SEEN, IMAPClient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from infra.demo.dovecot import Dovecot
from infra.demo.visitor import login

Act = Callable[[IMAPClient], object]

_FLAGS = [SEEN, FLAGGED, ANSWERED]
_NAMES = ("Old", "Old/Deep", "Täglich", "a & b", "x.y", "日本語")


@dataclass
class Restless:
    """Works in a thread of its own; `done` counts what was done, by name."""

    server: Dovecot
    user: str
    seed: int
    pause: float = 0.02
    """Seconds between two acts, on average."""
    done: Counter[str] = field(default_factory=Counter)
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._number = 0
        self._ended = threading.Event()
        self._at_work = threading.Lock()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Change the mailbox meanwhile."""
        thread = threading.Thread(target=self._work, name="restless", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(60)
        if self.failure:
            raise self.failure

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Leave the mailbox alone meanwhile."""
        with self._at_work:
            yield

    def _work(self) -> None:
        try:
            while not self._ended.is_set():
                with login(self.server, self.user) as client, suppress(IMAPClientAbortError):
                    self._session(client)
        except BaseException as error:
            self.failure = error

    def _session(self, client: IMAPClient) -> None:
        """Work on one connection until the server has had enough."""
        acts = [self._append] * 5 + [self._flag] * 4 + [self._move] * 4 + [self._expunge] * 3
        acts += [self._many, self._storm, self._copy, self._copy, self._create, self._delete, self._rename]
        acts += [self._subscribe, self._renumber, self._replace]
        for _ in range(200):
            if self._ended.is_set():
                return
            act = self._dice.choice(acts)
            with self._at_work:
                self._try(client, act.__name__.strip("_"), act)
            time.sleep(self._dice.uniform(0, 2 * self.pause))

    def _try(self, client: IMAPClient, name: str, act: Act) -> None:
        if self._is_done(client, act):
            self.done[name] += 1
        else:
            self.done[f"{name} refused"] += 1
        self._is_done(client, IMAPClient.unselect_folder)  # Dovecot ends a session whose folder goes away

    def _is_done(self, client: IMAPClient, act: Act) -> bool:
        try:
            act(client)
        except IMAPClientAbortError:
            self.done["session ended"] += 1
            raise
        except IMAPClientError:
            return False
        return True

    def _mail(self) -> bytes:
        self._number += 1
        earlier = self._dice.randint(0, self._number)
        reply = f"References: <{earlier}@restless>\r\n" if earlier and earlier < self._number else ""
        id = f"Message-ID: <{self._number}@restless>\r\n" if self._dice.random() < 0.95 else ""
        large = self._dice.random() < 0.03
        body = "tide and moon\r\n" * (6_000 if large else self._dice.randint(0, 150))
        return (
            f"From: tide@harbour.example\r\nTo: {self.user}\r\nSubject: Change {earlier or self._number}\r\n"
            f"{id}{reply}\r\n{body}{self._number}\r\n"
        ).encode()

    def _folders(self, client: IMAPClient) -> list[str]:
        return [name for flags, _, name in client.list_folders() if b"\\Noselect" not in flags]

    def _some(self, client: IMAPClient, most: int) -> list[int]:
        """Open a folder; return a few of its messages."""
        client.select_folder(self._dice.choice(self._folders(client)))
        uids: list[int] = client.search()
        return self._dice.sample(uids, min(len(uids), self._dice.randint(1, most)))

    def _append(self, client: IMAPClient) -> None:
        flags = self._dice.sample(_FLAGS, self._dice.randint(0, 2))
        client.append(self._dice.choice(self._folders(client)), self._mail(), flags)

    def _many(self, client: IMAPClient) -> None:
        folder = self._dice.choice(self._folders(client))
        client.multiappend(folder, [self._mail() for _ in range(self._dice.randint(2, 30))])

    def _flag(self, client: IMAPClient) -> None:
        if uids := self._some(client, 3):
            change = self._dice.choice([client.add_flags, client.remove_flags])
            change(uids, [self._dice.choice(_FLAGS)], silent=True)

    def _storm(self, client: IMAPClient) -> None:
        if uids := self._some(client, 200):
            for _ in range(5):
                client.set_flags(uids, self._dice.sample(_FLAGS, self._dice.randint(0, 3)), silent=True)

    def _move(self, client: IMAPClient) -> None:
        if uids := self._some(client, 6):
            client.move(uids, self._dice.choice(self._folders(client)))

    def _copy(self, client: IMAPClient) -> None:
        if uids := self._some(client, 3):
            client.copy(uids, self._dice.choice(self._folders(client)))

    def _expunge(self, client: IMAPClient) -> None:
        if uids := self._some(client, 8):
            client.add_flags(uids, [DELETED], silent=True)
            client.expunge()

    def _replace(self, client: IMAPClient) -> None:
        """Save a draft anew: the old version goes at once."""
        client.append("Drafts", self._mail(), [b"\\Draft"])
        client.select_folder("Drafts")
        if uids := client.search():
            client.delete_messages([uids[-1]], silent=True)
            client.append("Drafts", self._mail(), [b"\\Draft"])
            client.expunge()

    def _create(self, client: IMAPClient) -> None:
        client.create_folder(self._dice.choice(_NAMES))

    def _delete(self, client: IMAPClient) -> None:
        client.delete_folder(self._dice.choice(_NAMES))

    def _rename(self, client: IMAPClient) -> None:
        client.rename_folder(self._dice.choice(_NAMES), self._dice.choice(_NAMES))

    def _subscribe(self, client: IMAPClient) -> None:
        change = self._dice.choice([client.subscribe_folder, client.unsubscribe_folder])
        change(self._dice.choice(self._folders(client)))

    def _renumber(self, client: IMAPClient) -> None:
        """Make a folder anew with the same messages."""
        folder, aside = self._dice.choice(["Archive", "Sent", "Trash"]), f"Aside {self._number}"
        self._number += 1
        client.create_folder(aside)
        client.select_folder(folder)
        if client.search():
            client.copy("1:*", aside)
        client.select_folder(aside)
        client.delete_folder(folder)
        client.create_folder(folder)
        if client.search():
            client.copy("1:*", folder)
        client.unselect_folder()
        client.delete_folder(aside)

    def lose_numbers(self) -> str:
        """While nobody is there, lose what the server keeps of a folder beside its mail: UIDs change."""
        folder = self._dice.choice(["Archive", "Sent", "Trash"])
        home = self.server.base / "mail" / self.user.partition("@")[0]
        for lost in (home / "Maildir" / f".{folder}" / "dovecot-uidlist", home / "index" / f".{folder}"):
            _remove(lost)
        self.done["numbers lost"] += 1
        return folder


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
