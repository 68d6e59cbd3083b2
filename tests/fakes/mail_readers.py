"""Programs of others that read a mail: what each of them finds in its header."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from pathlib import Path
from typing import Any

from fast_mail_parser import parse_email

LISTS = ("from", "sender", "to", "cc", "reply-to")
_BLANKS = re.compile(r"[\s\ufeff]+")
_NODE = """
const {default: PostalMime, decodeWords} = require("postal-mime");
const lines = require("readline").createInterface({input: process.stdin});
lines.on("line", async (line) => {
  const mail = await PostalMime.parse(Buffer.from(line, "base64"));
  console.log(JSON.stringify({
    subject: mail.subject || "", text: mail.text || "", html: mail.html || "",
    headers: mail.headers.map(({key, value}) => [key, decodeWords(value)]),
    people: Object.fromEntries([["from", [mail.from]], ["sender", [mail.sender]], ["to", mail.to],
      ["cc", mail.cc], ["reply-to", mail.replyTo]].map(([key, found]) =>
        [key, (found || []).filter(Boolean).map(({name, address}) => [name, address])])),
  }));
});
"""


def bare(text: str) -> str:
    """Return a text with single blanks: readers differ in those, and in byte order marks."""
    return _BLANKS.sub(" ", text).strip()


@dataclass(frozen=True)
class Reading:
    """What a reader says: everybody by header, the subject, the header names in order, the body's forms."""

    people: dict[str, list[tuple[str, str]]]
    subject: str
    headers: list[tuple[str, str]]
    text: str
    html: str

    def custom(self, name: str) -> str:
        """Return the one header of that name."""
        [value] = [value for key, value in self.headers if key.lower() == name.lower()]
        return bare(value)


Reader = Callable[[bytes], Reading]


def python_email(raw: bytes) -> Reading:
    """Python's own, as most programs use it."""
    mail = message_from_bytes(raw)
    text, html = (part.get_payload(decode=True).decode() for part in _leaves(mail))
    people = {
        name: [(bare(shown), email) for shown, email in python_people(*mail.get_all(name, []))]
        for name in LISTS
    }
    headers = [(name, python_text(value)) for name, value in mail.items()]
    return Reading(people, python_text(mail["Subject"]), headers, text, html)


def python_people(*values: str) -> list[tuple[str, str]]:
    """Return names and addresses of header values, as Python's email reads them."""
    return [(python_text(name), email) for name, email in getaddresses(values)]


def python_text(value: str) -> str:
    """Return the text of a header value, as Python's email reads it."""
    return str(make_header(decode_header(value.replace("\r\n", ""))))


def rust_mailparse(raw: bytes) -> Reading:
    """The crate mailparse, behind fast_mail_parser."""
    mail = parse_email(raw)
    found = {"from": mail.from_, "to": mail.to, "cc": mail.cc, "reply-to": mail.reply_to}
    people = {
        name: [(bare(one.display_name or ""), one.address) for one in _listed(value)]
        for name, value in found.items()
    }
    headers = [(name, value) for name, found in mail.headers.items() for value in _listed(found)]
    return Reading(people, mail.subject, headers, "".join(mail.text_plain), "".join(mail.text_html))


class PostalMime:
    """The npm package postal-mime in a process of its own."""

    def __init__(self, node_modules: Path) -> None:
        self._process = subprocess.Popen(
            ["node", "-e", _NODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(node_modules)},
        )

    def __call__(self, raw: bytes) -> Reading:
        """Read one mail."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(base64.b64encode(raw) + b"\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        people = {name: [(bare(n), a) for n, a in pairs] for name, pairs in found["people"].items()}
        headers = [(name, value) for name, value in found["headers"]]
        return Reading(people, found["subject"], headers, found["text"], found["html"])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def _leaves(mail: Message) -> list[Any]:
    return [part for part in mail.walk() if not part.is_multipart()]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value] if value else []
