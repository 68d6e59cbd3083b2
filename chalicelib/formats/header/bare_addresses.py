"""Addresses without angle brackets, among the words around them and over the folds between them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chalicelib.formats.header.address_tokens import Kind, Piece

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_HELD = re.compile(r"\0(\d+)\0")
"""Stands for a quoted string or an encoded word among bare words: its place among the pieces."""

_WORDS = re.compile(r"\n|\S+")
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_BEGINNING = re.compile(r"[a-z0-9._+=-]+")


def bare(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """Return the addresses that stand among the pieces, and the name of each, empty if there are several."""
    if not any(kind == "word" and "@" in content for kind, content in pieces):
        return []
    words = _joined(_words(pieces))
    found = [word for word in words if _is_address(word)]
    names = [word for word in words if not _is_address(word)] if len(found) == 1 else []
    name = _HELD.sub(lambda held: unquoted(*pieces[int(held[1])]), " ".join(names))
    return [(_HELD.sub(lambda held: pieces[int(held[1])][1], email), name) for email in dict.fromkeys(found)]


def unquoted(kind: Kind, content: str) -> str:
    """Return a piece as a reader sees it."""
    return _ESCAPED.sub(r"\1", content[1:-1]) if kind == "quoted" else content


def _words(pieces: Sequence[Piece]) -> list[str]:
    """Return the words, and a line feed for each fold; only `"local part"@host` keeps together."""
    done: list[str] = []
    for place, (kind, content) in enumerate(pieces):
        if kind == "word":
            done.append(content)
        else:
            local = place + 1 < len(pieces) and pieces[place + 1][1].startswith("@")
            done.append(f" \0{place}\0" if local else f" \0{place}\0 ")
    return _WORDS.findall("".join(done))


def _joined(words: list[str]) -> list[str]:
    """Return the words with those joined that are one address (RFC 5322 sections 3.2.3 and 4.4)."""
    only = sum(word.count("@") for word in words) == 1
    alone = sum(word != "\n" for word in words) == 2
    done: list[str] = []
    folded = False
    for word in words:
        if word != "\n" and done and _goes_on(done[-1], word, folded=folded, only=only, alone=alone):
            done[-1] += word
        elif word != "\n":
            done.append(word)
        folded = word == "\n"
    return done


def _goes_on(left: str, right: str, *, folded: bool, only: bool, alone: bool) -> bool:
    """Tell whether a word goes on with the one before it, as the only address here or over a fold."""
    if _HELD.fullmatch(right) or ("@" in left and "@" in right):
        return False
    if only and (right[0] == "@" or left[-1] == "@"):
        return True
    if "@" in left:
        return _domain_goes_on(left, right, folded)
    return folded and alone and "@" in right and _BEGINNING.fullmatch(left) is not None


def _domain_goes_on(left: str, right: str, folded: bool) -> bool:
    if right[0] == "." or left[-1] == ".":
        return _DOMAIN.fullmatch(right.strip(".") or "a") is not None
    if not _DOMAIN.fullmatch(right):
        return False
    return folded and ("." not in left.rpartition("@")[2] or left[-1] == "-" or "." in right)


def _is_address(word: str) -> bool:
    local, _, domain = word.rpartition("@")
    return bool(local and domain)
