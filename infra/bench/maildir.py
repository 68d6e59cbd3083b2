"""A large mailbox in little time: written as Maildir files, as a mail server would have left them."""

from __future__ import annotations

import os
import pwd
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from infra.demo.dovecot import Dovecot
from infra.demo.mailbox import MadeMessage, make_mailbox
from infra.demo.visitor import login

CHAPTER = 2_000
_CHAPTER_SECONDS = CHAPTER * 3_000  # messages lie up to 3,000 seconds apart
_UNTIL = 1_735_000_000
_LETTERS = {r"\Flagged": "F", r"\Seen": "S"}


def lay_out(server: Dovecot, user: str, count: int) -> None:
    """Write a made-up mailbox into a user's folders, and have the server number it."""
    root = server.mailbox(user)
    with ProcessPoolExecutor() as pool:
        chapters = pool.map(partial(_write_chapter, root, count), range(-(-count // CHAPTER)))
        folders = {folder for chapter in chapters for folder in chapter}
    _give(root.parent)
    with login(server, user) as client:
        for folder in sorted(folders):
            client.select_folder(folder, readonly=True)


def _write_chapter(root: Path, count: int, chapter: int) -> set[str]:
    """Write some thousand messages, the newest being chapter 0; return their folders."""
    messages = make_mailbox(
        min(CHAPTER, count - chapter * CHAPTER),
        seed=7 + chapter,
        until=_UNTIL - chapter * _CHAPTER_SECONDS,
    )
    return {_write(root, made, number) for number, made in enumerate(messages)}


def _write(root: Path, made: MadeMessage, number: int) -> str:
    """Write one message; return its folder."""
    place = root if made.folder == "INBOX" else root / ("." + made.folder.replace("/", "."))
    for name in ("cur", "new", "tmp"):
        (place / name).mkdir(parents=True, exist_ok=True)
    raw = made.raw.replace(b"\n", b"\r\n")
    letters = "".join(sorted(_LETTERS[flag] for flag in made.flags))
    file = place / "cur" / f"{made.at}.M{number:06d}.bench,S={len(raw)},W={len(raw)}:2,{letters}"
    file.write_bytes(raw)
    os.utime(file, (made.at, made.at))
    return made.folder


def _give(top: Path) -> None:
    """Let the mail server own what was written in its name."""
    if os.getuid() != 0:
        return
    owner = pwd.getpwnam("nobody")
    for folder, _, files in os.walk(top):
        for path in (Path(folder), *(Path(folder, file) for file in files)):
            os.chown(path, owner.pw_uid, owner.pw_gid)
