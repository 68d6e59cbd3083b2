"""One Gmail account in memory: a store of mails, and mailboxes that are views on it.

A mail is in All Mail, Spam or Trash. It shows in the mailbox of each of its labels only while it is in
All Mail, with a UID of its own in every one of them. Every change of a mail, its labels included, moves its
MODSEQ and that of the mailboxes it is seen in. Names are in modified UTF-7, as on the wire.
"""

from __future__ import annotations

import email
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

ENGLISH = {
    "all": "[Gmail]/All Mail",
    "drafts": "[Gmail]/Drafts",
    "important": "[Gmail]/Important",
    "sent": "[Gmail]/Sent Mail",
    "spam": "[Gmail]/Spam",
    "starred": "[Gmail]/Starred",
    "trash": "[Gmail]/Trash",
}
GERMAN = {
    "all": "[Google Mail]/Alle Nachrichten",
    "drafts": "[Google Mail]/Entw&APw-rfe",
    "important": "[Google Mail]/Wichtig",
    "sent": "[Google Mail]/Gesendet",
    "spam": "[Google Mail]/Spam",
    "starred": "[Google Mail]/Markiert",
    "trash": "[Google Mail]/Papierkorb",
}
ATTRIBUTES = {
    "all": "\\All",
    "drafts": "\\Drafts",
    "important": "\\Important",
    "sent": "\\Sent",
    "spam": "\\Junk",
    "starred": "\\Flagged",
    "trash": "\\Trash",
}
SYSTEM = {"inbox": "\\Inbox", "drafts": "\\Draft", "important": "\\Important", "sent": "\\Sent"}
PLACES = ("all", "spam", "trash")
_MOVES = {"\\TRASH": "trash", "\\SPAM": "spam", "\\JUNK": "spam"}


@dataclass(eq=False)
class Mail:
    """A mail; `labels` are system labels with a backslash and names of the user's own."""

    raw: bytes
    at: int
    msgid: int
    thrid: int
    flags: set[str]
    labels: set[str]
    place: str = "all"
    modseq: int = 0

    def header(self, name: str) -> str:
        return str(email.message_from_bytes(self.raw).get(name, ""))

    def shown_labels(self) -> list[str]:
        """Return what X-GM-LABELS says: a star is a label, too."""
        return sorted(self.labels | ({"\\Starred"} if "\\Flagged" in self.flags else set()))


@dataclass
class Box:
    """A mailbox: its mails by UID, oldest first."""

    uidvalidity: int
    uidnext: int = 1
    modseq: int = 1
    mails: dict[int, Mail] = field(default_factory=dict)

    def uid_of(self, mail: Mail) -> int:
        return next((uid for uid, one in self.mails.items() if one is mail), 0)


class GmailStore:
    """An account; every public method may be called from any thread."""

    def __init__(self, names: dict[str, str] | None = None, hidden: Iterable[str] = ()) -> None:
        self.lock = threading.RLock()
        self.names = dict(ENGLISH if names is None else names)
        self.hidden = set(hidden)
        self.mails: list[Mail] = []
        self.modseq = 1_000
        self._ids = 1_700_000_000_000_000_000
        self._validities = 0
        self.boxes = {name: self._box() for name in ("INBOX", *self.names.values())}

    def deliver(
        self,
        raw: bytes,
        labels: Iterable[str] = ("\\Inbox",),
        flags: Iterable[str] = (),
        at: int = 1_600_000_000,
        place: str = "all",
        thread: int = 0,
    ) -> Mail:
        """Put a mail into the account."""
        with self.lock:
            self._ids += 7
            mail = Mail(raw, at, self._ids, 0, set(flags), set(labels), place)
            mail.thrid = thread or self._conversation(mail) or mail.msgid
            self.mails.append(mail)
            for label in mail.labels:
                self._make(label)
            self.settle(mail)
            return mail

    def append(self, box: str, raw: bytes, flags: Iterable[str], at: int) -> tuple[Mail, int]:
        """File a mail; one that is there already only gets the label."""
        with self.lock:
            mail = next((one for one in self.mails if one.raw == raw), None)
            if mail is None:
                mail = self.deliver(raw, (), flags, at)
            self.put(mail, box)
            return mail, self.boxes[box].uid_of(mail)

    def put(self, mail: Mail, box: str) -> None:
        """Let a mail be seen in a mailbox, too: what COPY does."""
        with self.lock:
            role = self.role(box)
            if role in PLACES:
                mail.place = str(role)
                if role != "all":
                    mail.labels.discard("\\Inbox")
            else:
                mail.place = "all"
                self._label(mail, SYSTEM.get(role, box) if role else box)
            self.settle(mail)

    def take(self, mail: Mail, box: str) -> None:
        """Let a mail no longer be seen in a mailbox: what EXPUNGE does."""
        with self.lock:
            role = self.role(box)
            if role in ("spam", "trash"):
                return self.purge(mail)
            if role == "all":
                mail.place = "trash"
                mail.labels.discard("\\Inbox")
            elif role == "starred":
                mail.flags.discard("\\Flagged")
            else:
                mail.labels.discard(SYSTEM.get(role, box) if role else box)
            return self.settle(mail)

    def purge(self, mail: Mail) -> None:
        """Delete a mail for good."""
        with self.lock:
            self.mails.remove(mail)
            mail.place = ""
            self.settle(mail)

    def add_labels(self, mail: Mail, labels: Iterable[str]) -> None:
        with self.lock:
            for label in labels:
                if place := _MOVES.get(label.upper()):
                    mail.place = place
                    mail.labels.discard("\\Inbox")
                else:
                    self._label(mail, label)
            self.settle(mail)

    def remove_labels(self, mail: Mail, labels: Iterable[str]) -> None:
        with self.lock:
            gone = {label.upper() for label in labels}
            mail.labels = {label for label in mail.labels if label.upper() not in gone}
            if "\\STARRED" in gone:
                mail.flags.discard("\\Flagged")
            self.settle(mail)

    def set_flags(self, mail: Mail, flags: Iterable[str]) -> None:
        with self.lock:
            mail.flags = set(flags)
            self.settle(mail)

    def create(self, name: str) -> None:
        with self.lock:
            self._make(name)

    def rename(self, name: str, new: str, touch: bool = True) -> None:
        """Give a label another name; `touch` tells whether its mails count as changed."""
        with self.lock:
            self.boxes[new] = self.boxes.pop(name)
            for mail in [one for one in self.mails if name in one.labels]:
                mail.labels = mail.labels - {name} | {new}
                if touch:
                    self.settle(mail)

    def delete(self, name: str, touch: bool = True) -> None:
        """Delete a label; `touch` tells whether its mails count as changed."""
        with self.lock:
            self.boxes.pop(name)
            for mail in [one for one in self.mails if name in one.labels]:
                mail.labels.discard(name)
                if touch:
                    self.settle(mail)

    def renumber(self, box: str) -> None:
        """Give a mailbox a new UIDVALIDITY and its mails new UIDs."""
        with self.lock:
            old = self.boxes[box]
            self.boxes[box] = new = self._box()
            for uid, mail in enumerate(old.mails.values(), 1):
                new.mails[uid] = mail
                new.uidnext = uid + 1
            new.modseq = old.modseq

    def role(self, box: str) -> str | None:
        if box.upper() == "INBOX":
            return "inbox"
        return next((role for role, name in self.names.items() if name == box), None)

    def settle(self, mail: Mail) -> None:
        """Count a change of a mail, and bring the mailboxes in line with its labels."""
        self.modseq += 1
        mail.modseq = self.modseq
        for name, box in self.boxes.items():
            uid, belongs = box.uid_of(mail), self._belongs(mail, name)
            if uid or belongs:
                box.modseq = self.modseq
            if belongs and not uid:
                box.mails[box.uidnext] = mail
                box.uidnext += 1
            elif uid and not belongs:
                del box.mails[uid]

    def _belongs(self, mail: Mail, box: str) -> bool:
        role = self.role(box)
        if role in PLACES:
            return mail.place == role
        if role == "starred":
            return mail.place == "all" and "\\Flagged" in mail.flags
        return mail.place == "all" and (SYSTEM.get(role, box) if role else box) in mail.labels

    def _label(self, mail: Mail, label: str) -> None:
        known = next((one for one in SYSTEM.values() if one.upper() == label.upper()), label)
        if known.upper() == "\\STARRED":
            mail.flags.add("\\Flagged")
            return
        if known == "\\Inbox":
            mail.place = "all"
        self._make(known)
        mail.labels.add(known)

    def _make(self, label: str) -> None:
        if not label.startswith("\\") and label not in self.boxes:
            self.boxes[label] = self._box()

    def _box(self) -> Box:
        self._validities += 1
        return Box(uidvalidity=self._validities, modseq=self.modseq)

    def _conversation(self, mail: Mail) -> int:
        named = mail.header("References").split() + mail.header("In-Reply-To").split()
        known = {one.header("Message-ID"): one.thrid for one in self.mails}
        return next((known[id] for id in reversed(named) if id in known), 0)
