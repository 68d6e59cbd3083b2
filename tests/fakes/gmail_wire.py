"""The words of IMAP for the Gmail of the tests: commands read, answers written."""

from __future__ import annotations

import asyncio
import calendar
import re
import time
from typing import Any

from tests.fakes.gmail_store import SYSTEM, Box, GmailStore, Mail

_SIZE = re.compile(rb"\{(\d+)(\+?)\}$")
_ATOM = re.compile(r'[^(){ %*"\\\]&\x7f-\uffff]+')
_SECTION = re.compile(r"BODY(?:\.PEEK)?\[([^\]]*)\](?:<(\d+)\.(\d+)>)?", re.I)


async def read_command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[Any] | None:
    """Return the words of one command: strings, bytes for literals, lists for parentheses."""
    stack: list[list[Any]] = [[]]
    while line := await reader.readline():
        line = line.rstrip(b"\r\n")
        size = _SIZE.search(line)
        _split(line[: size.start()] if size else line, stack)
        if size is None:
            return stack[0]
        if not size.group(2):
            writer.write(b"+ go ahead\r\n")
        stack[-1].append(await reader.readexactly(int(size.group(1))))
    return None


def _split(line: bytes, stack: list[list[Any]]) -> None:
    text, at = line.decode("latin-1"), 0
    while at < len(text):
        if text[at] == " ":
            at += 1
        elif text[at] == "(":
            stack.append([])
            at += 1
        elif text[at] == ")":
            done = stack.pop()
            stack[-1].append(done)
            at += 1
        elif text[at] == '"':
            found = re.compile(r'"((?:[^"\\]|\\.)*)"').match(text, at)
            assert found, f"a quote is open: {text}"
            stack[-1].append(re.sub(r"\\(.)", r"\1", found.group(1)))
            at = found.end()
        else:
            found = re.compile(r"(?:\[[^\]]*\]|[^\s()\[])+").match(text, at)
            assert found, text
            stack[-1].append(found.group())
            at = found.end()


def quoted(text: str) -> str:
    """Return a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def label_list(store: GmailStore, mail: Mail, box: str, atoms: bool) -> str:
    """Return X-GM-LABELS: the label of the mailbox one is in is not named, as Gmail has it.

    System labels are quoted with two backslashes, or atoms with one as in Google's own examples.
    """
    role = store.role(box)
    own = SYSTEM.get(role, "") if role else box
    words = (label for label in mail.shown_labels() if label != own)
    return "(" + " ".join(_label(word, atoms) for word in words) + ")"


def _label(word: str, atoms: bool) -> str:
    if word.startswith("\\"):
        return word if atoms else quoted(word)
    return word if _ATOM.fullmatch(word) else quoted(word)


def fetched(store: GmailStore, name: str, box: Box, uid: int, items: list[Any], atoms: bool = False) -> bytes:
    """Return the inside of a FETCH answer, in Gmail's order: what bears literals comes last."""
    mail = box.mails[uid]
    wanted = {str(item).upper() for item in items}
    facts = {
        "X-GM-THRID": str(mail.thrid),
        "X-GM-MSGID": str(mail.msgid),
        "X-GM-LABELS": label_list(store, mail, name, atoms),
        "UID": str(uid),
        "RFC822.SIZE": str(len(mail.raw)),
        "MODSEQ": f"({mail.modseq})",
        "INTERNALDATE": time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(mail.at)),
        "FLAGS": "(" + " ".join(sorted(mail.flags)) + ")",
    }
    parts = [f"{key} {value}".encode() for key, value in facts.items() if key in wanted]
    parts += [part for item in items if (part := _body(mail, str(item)))]
    return b" ".join(parts)


def _body(mail: Mail, item: str) -> bytes | None:
    found = _SECTION.fullmatch(item)
    if found is None:
        return None
    section, first, length = found.groups()
    content = _content(mail.raw, section)
    origin = ""
    if first is not None:
        content, origin = content[int(first) : int(first) + int(length)], f"<{first}>"
    return f"BODY[{section}]{origin} {{{len(content)}}}\r\n".encode() + content


def _content(raw: bytes, section: str) -> bytes:
    head, gap, text = raw.partition(b"\r\n\r\n")
    if not section:
        return raw
    if section.upper() == "HEADER":
        return head + gap
    if section.upper() == "TEXT":
        return text
    names = section.partition("(")[2].rstrip(")").lower().split()
    fields = re.findall(rb"[^\r\n:]+:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n", head + b"\r\n")
    chosen = (one for one in fields if one.partition(b":")[0].decode().lower() in names)
    return b"".join(chosen) + b"\r\n"


def seconds(when: str) -> int:
    """Return Unix seconds of a date of APPEND."""
    at = calendar.timegm(time.strptime(when.strip()[:20].strip(), "%d-%b-%Y %H:%M:%S"))
    zone = when.split()[-1]
    offset = int(zone[1:3]) * 3600 + int(zone[3:]) * 60
    return at - offset if zone[0] == "+" else at + offset
