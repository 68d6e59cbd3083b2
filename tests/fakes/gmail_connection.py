"""One client of the Gmail of the tests: a method per command of IMAP."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.fakes.gmail_search import BadSearch, search, uid_set
from tests.fakes.gmail_store import ATTRIBUTES, Box, GmailStore, Mail
from tests.fakes.gmail_wire import fetched, quoted, read_command, seconds

PASSWORD = "app password"


class Accounts(Protocol):
    """What a connection knows of its server."""

    atoms: bool
    commands: list[str]

    def store(self, user: str) -> GmailStore: ...
    def capabilities(self, inside: bool) -> str: ...


class No(Exception):
    """The server answers NO."""


@dataclass
class Connection:
    """One client."""

    server: Accounts
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    user: str = ""
    name: str = ""
    writable: bool = False
    seen: list[int] = field(default_factory=list)

    async def run(self) -> None:
        self.say("* OK Gimap ready for requests from 127.0.0.1")
        while words := await read_command(self.reader, self.writer):
            tag, verb, *rest = words
            if str(verb).upper() == "UID":
                verb = f"UID {rest.pop(0)}"
            self.server.commands.append(str(verb).upper())
            if str(verb).upper() == "IDLE":
                await self.idle()
            self.answer(str(tag), str(verb).upper(), rest)
            await self.writer.drain()
            if str(verb).upper() == "LOGOUT":
                return

    def answer(self, tag: str, verb: str, rest: list[Any]) -> None:
        action: Callable[..., str | None] | None = getattr(self, "do_" + verb.lower().replace(" ", "_"), None)
        inside = verb in ("CAPABILITY", "LOGIN", "AUTHENTICATE", "ID", "NOOP", "LOGOUT") or self.user
        if action is None or not inside:
            return self.say(f"{tag} BAD Unknown command {verb}")
        try:
            if not self.user:
                text = action(*rest)
            else:
                with self.store.lock:
                    self.refresh(verb)
                    text = action(*rest)
        except BadSearch as error:
            return self.say(f"{tag} BAD Could not parse command: {error}")
        except No as error:
            return self.say(f"{tag} NO {error}")
        return self.say(f"{tag} OK {text or 'Success'}")

    def say(self, text: str) -> None:
        self.writer.write(text.encode("latin-1") + b"\r\n")

    @property
    def store(self) -> GmailStore:
        return self.server.store(self.user)

    @property
    def box(self) -> Box:
        if not self.name or self.name not in self.store.boxes:
            raise No("no mailbox is open")
        return self.store.boxes[self.name]

    def refresh(self, verb: str) -> None:
        """Tell what came and went in the open mailbox since the last command."""
        if not self.name or self.name not in self.store.boxes or verb in ("FETCH", "STORE", "SEARCH"):
            return
        here = self.box.mails.keys()
        for place in range(len(self.seen), 0, -1):
            if self.seen[place - 1] not in here:
                del self.seen[place - 1]
                self.say(f"* {place} EXPUNGE")
        if len(here) > len(self.seen):
            self.seen = sorted(here)
            self.say(f"* {len(self.seen)} EXISTS")

    # Any state.

    def do_capability(self) -> None:
        self.say("* CAPABILITY " + self.server.capabilities(bool(self.user)))

    def do_noop(self) -> None:
        """Let `refresh` speak."""

    def do_id(self, facts: Any) -> None:
        self.say('* ID ("name" "GImap" "vendor" "Google, Inc.")')

    def do_logout(self) -> None:
        self.say("* BYE LOGOUT Requested")

    def do_login(self, user: Any, password: Any) -> str:
        user, password = (w.decode() if isinstance(w, bytes) else str(w) for w in (user, password))
        if password != PASSWORD:
            raise No("[AUTHENTICATIONFAILED] Invalid credentials (Failure)")
        self.user = user
        return f"{user} authenticated (Success)"

    def do_authenticate(self, mechanism: str, response: str) -> str:
        _, user, password = base64.b64decode(response).decode().split("\0")
        return self.do_login(user, password)

    # Logged in.

    def do_enable(self, *names: str) -> None:
        self.say("* ENABLED " + " ".join(n for n in names if n.upper() == "CONDSTORE"))

    def do_namespace(self) -> None:
        self.say('* NAMESPACE (("" "/")) NIL NIL')

    def do_list(self, *words: Any) -> None:
        returns = [one for word in words if isinstance(word, list) for one in word]
        items = next((word for word in returns if isinstance(word, list)), [])
        prefix = self.store.names["all"].partition("/")[0]
        self.say(f'* LIST (\\HasChildren \\Noselect) "/" "{prefix}"')
        for name in self.store.boxes:
            role = self.store.role(name)
            if role in self.store.hidden:
                continue
            attributes = " ".join(["\\HasNoChildren", *([ATTRIBUTES[role]] if role in ATTRIBUTES else [])])
            self.say(f'* LIST ({attributes}) "/" {quoted(name)}')
            if items:
                self._status(name, items)

    def do_status(self, name: str, items: list[str]) -> None:
        self._status(self._existing(name), items)

    def _status(self, name: str, items: list[str]) -> None:
        box = self.store.boxes[name]
        facts = {
            "MESSAGES": len(box.mails),
            "UIDNEXT": box.uidnext,
            "UIDVALIDITY": box.uidvalidity,
            "HIGHESTMODSEQ": box.modseq,
            "UNSEEN": sum("\\Seen" not in mail.flags for mail in box.mails.values()),
        }
        pairs = " ".join(f"{item} {facts[item.upper()]}" for item in items)
        self.say(f"* STATUS {quoted(name)} ({pairs})")

    def do_select(self, name: str, *_: Any) -> str:
        return self._open(name, writable=True)

    def do_examine(self, name: str, *_: Any) -> str:
        return self._open(name, writable=False)

    def _open(self, name: str, writable: bool) -> str:
        self.name, self.writable = self._existing(name), writable
        self.seen = sorted(self.box.mails)
        self.say("* FLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen $NotPhishing $Phishing)")
        self.say(f"* OK [UIDVALIDITY {self.box.uidvalidity}] UIDs valid.")
        self.say(f"* {len(self.seen)} EXISTS")
        self.say("* 0 RECENT")
        self.say(f"* OK [UIDNEXT {self.box.uidnext}] Predicted next UID.")
        self.say(f"* OK [HIGHESTMODSEQ {self.box.modseq}]")
        return f"[READ-{'WRITE' if writable else 'ONLY'}] {name} selected. (Success)"

    def do_unselect(self) -> None:
        self.name, self.seen = "", []

    def do_close(self) -> None:
        self.do_unselect()

    def do_create(self, name: str) -> None:
        self.store.create(name)

    def do_delete(self, name: str) -> None:
        self.store.delete(self._existing(name))

    def do_rename(self, name: str, new: str) -> None:
        self.store.rename(self._existing(name), new)

    def do_append(self, name: str, *rest: Any) -> str:
        box = self._existing(name)
        flags = next((word for word in rest if isinstance(word, list)), [])
        when = next((word for word in rest if isinstance(word, str)), "")
        uid = self.store.append(box, rest[-1], flags, seconds(when) if when else int(time.time()))[1]
        return f"[APPENDUID {self.store.boxes[box].uidvalidity} {uid}] (Success)"

    # A mailbox is open.

    def do_search(self, *words: Any) -> None:
        uids = search(self.box, list(words))
        places = [str(self.seen.index(uid) + 1) for uid in uids if uid in self.seen]
        self.say(" ".join(["* SEARCH", *places]))

    def do_uid_search(self, *words: Any) -> None:
        self.say(" ".join(["* SEARCH", *map(str, search(self.box, list(words)))]))

    def do_uid_fetch(self, uids: str, items: Any, modifier: Any = ()) -> None:
        items = list(items) if isinstance(items, list) else [items]
        since = int(modifier[1]) if modifier and str(modifier[0]).upper() == "CHANGEDSINCE" else 0
        items += ["MODSEQ"] if since else []
        for uid in self._uids(uids):
            if self.box.mails[uid].modseq > since:
                self._fetched(uid, ["UID", *items])

    def do_uid_store(self, uids: str, how: str, words: Any) -> None:
        if not self.writable:
            raise No("[READ-ONLY] the mailbox was opened with EXAMINE")
        given = list(words) if isinstance(words, list) else [words]
        item, silent = how.upper().removesuffix(".SILENT"), how.upper().endswith(".SILENT")
        for uid in self._uids(uids):
            mail = self.box.mails[uid]
            (self._store_labels if item.endswith("X-GM-LABELS") else self._store_flags)(mail, item[0], given)
            if not silent and uid in self.box.mails:
                self._fetched(uid, ["UID", item.lstrip("+-")])

    def _store_labels(self, mail: Mail, sign: str, labels: list[str]) -> None:
        if sign not in "+-":
            self.store.remove_labels(mail, mail.shown_labels())
        (self.store.remove_labels if sign == "-" else self.store.add_labels)(mail, labels)

    def _store_flags(self, mail: Mail, sign: str, flags: list[str]) -> None:
        named = {
            flag.lower().capitalize() if flag[0] != "\\" else "\\" + flag[1:].capitalize() for flag in flags
        }
        new = {"+": mail.flags | named, "-": mail.flags - named}.get(sign, named)
        self.store.set_flags(mail, new)

    def do_uid_copy(self, uids: str, name: str) -> None:
        for mail in [self.box.mails[uid] for uid in self._uids(uids)]:
            self.store.put(mail, self._existing(name))

    def do_uid_move(self, uids: str, name: str) -> None:
        target, source = self._existing(name), self.name
        for mail in [self.box.mails[uid] for uid in self._uids(uids)]:
            self.store.put(mail, target)
            if (
                self.store.boxes[source].uid_of(mail)
                and source != target
                and self.store.role(source) != "all"
            ):
                self.store.take(mail, source)
        self.refresh("UID MOVE")

    def do_expunge(self) -> None:
        self._expunge(list(self.box.mails))

    def do_uid_expunge(self, uids: str) -> None:
        self._expunge(self._uids(uids))

    def _expunge(self, uids: list[int]) -> None:
        for mail in [self.box.mails[uid] for uid in uids]:
            if "\\Deleted" in mail.flags:
                mail.flags.discard("\\Deleted")
                self.store.take(mail, self.name)
        self.refresh("EXPUNGE")

    def do_idle(self) -> str:
        return "IDLE terminated (Success)"

    async def idle(self) -> None:
        """Tell of changes until the client says DONE."""
        self.say("+ idling")
        done = asyncio.create_task(self.reader.readline())
        while not done.done():
            with self.store.lock:
                self.refresh("IDLE")
            await asyncio.wait({done}, timeout=0.05)

    def _fetched(self, uid: int, items: list[Any]) -> None:
        inside = fetched(self.store, self.name, self.box, uid, items, self.server.atoms)
        place = self.seen.index(uid) + 1 if uid in self.seen else len(self.seen)
        self.writer.write(b"* %d FETCH (" % place + inside + b")\r\n")

    def _uids(self, uids: str) -> list[int]:
        within = uid_set(uids, max(self.box.mails, default=0))
        return [uid for uid in self.box.mails if within(uid)]

    def _existing(self, name: Any) -> str:
        text = name.decode() if isinstance(name, bytes) else str(name)
        found = "INBOX" if text.upper() == "INBOX" else text
        if found not in self.store.boxes or self.store.role(found) in self.store.hidden:
            raise No(f"[NONEXISTENT] Unknown Mailbox: {text} (Failure)")
        return found
