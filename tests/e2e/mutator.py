"""Somebody whose mailbox is never at rest: appends, flags, moves, expunges and renames."""

from __future__ import annotations

import random
import time
from collections import Counter

from imapclient import FLAGGED, SEEN, IMAPClient
from imapclient.exceptions import IMAPClientAbortError

from infra.demo.dovecot import Dovecot
from infra.demo.visitor import login

_HOMES = ("INBOX", "Archive", "Projects/Kestrel")


class Mutator:
    """Changes a mailbox at random; `done` counts what was done."""

    def __init__(self, server: Dovecot, user: str, seed: int) -> None:
        self._server = server
        self._user = user
        self._random = random.Random(seed)
        self._number = 0
        self._folders = list(_HOMES)
        self._selected = ""
        self.done: Counter[str] = Counter()

    def run(self, seconds: float, per_second: float = 6) -> None:
        """Make changes for so long."""
        acts = [self._append] * 4 + [self._flag] * 5 + [self._move] * 3 + [self._expunge] * 2 + [self._rename]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with login(self._server, self._user) as client:
                self._make_folders(client)
                self._selected = ""
                try:
                    while time.monotonic() < end:
                        act = self._random.choice(acts)
                        act(client)
                        self.done[act.__name__.strip("_")] += 1
                        time.sleep(self._random.uniform(0, 2 / per_second))
                except IMAPClientAbortError:
                    self.done["new session"] += 1  # Dovecot ended the last one
                    client.shutdown()

    def _make_folders(self, client: IMAPClient) -> None:
        for folder in self._folders:
            if not client.folder_exists(folder):
                client.create_folder(folder)

    def _append(self, client: IMAPClient) -> None:
        self._number += 1
        earlier = self._random.randint(0, self._number)
        reply = f"References: <{earlier}@mutator>\r\n" if earlier and earlier < self._number else ""
        mail = (
            f"From: tide@harbour.example\r\nTo: {self._user}\r\nSubject: Change {earlier or self._number}\r\n"
            f"Message-ID: <{self._number}@mutator>\r\n{reply}\r\nText {self._number}\r\n"
        )
        client.append(self._random.choice(self._folders), mail.encode())

    def _flag(self, client: IMAPClient) -> None:
        for uid in self._some(client):
            change = self._random.choice([client.add_flags, client.remove_flags])
            change(uid, [self._random.choice([SEEN, FLAGGED])])

    def _move(self, client: IMAPClient) -> None:
        if uids := self._some(client):
            client.move(uids, self._random.choice([f for f in self._folders if f != self._selected]))

    def _expunge(self, client: IMAPClient) -> None:
        if uids := self._some(client):
            client.delete_messages(uids)
            client.expunge()

    def _rename(self, client: IMAPClient) -> None:
        place = len(_HOMES) - 1
        self._number += 1
        if self._selected:
            client.unselect_folder()  # Dovecot ends a session whose folder is renamed
            self._selected = ""
        renamed = f"Projects/Renamed {self._number}"
        client.rename_folder(self._folders[place], renamed)
        self._folders[place] = renamed

    def _some(self, client: IMAPClient) -> list[int]:
        """Return up to three messages of a folder, which is selected then."""
        self._selected = self._random.choice(self._folders)
        client.select_folder(self._selected)
        uids = client.search()
        return self._random.sample(uids, min(len(uids), self._random.randint(1, 3)))
