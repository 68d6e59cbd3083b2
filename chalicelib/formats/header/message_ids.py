"""Message-IDs out of the headers that name mails (RFC 5322 §3.6.4): what merely stands there is no id.

Old programs write words, dates and addresses into In-Reply-To (RFC 822 allowed it). Whatever is taken for an
id can join conversations of strangers, so in doubt it is none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from chalicelib import bounds
from chalicelib.formats.header import headers
from chalicelib.formats.text.charset import encodable

_TOKEN = re.compile(r'<[^<>]*>|"[^"]*"|\([^()]*\)|[^\s<>"()]+')
_PLAIN = re.compile(r"\s*(?:<[!-;=?-~]+>\s*)+")
_BLANKS = re.compile(r"\s+")
_UNFIT = re.compile(r"[\x00-\x20\x7f<>]")
_EMPTY_WORDS = frozenset(
    {"null", "none", "nil", "undefined", "unknown", "nan", "false", "(null)", "message-id"}
)
_SENDERS = frozenset({"from", "by", "von", "de", "par", "da", "van", "från", "fra", "od"})
_INTRODUCTIONS = frozenset({"of", "on", "in", "to", "message", "mail", "article", "id", "message-id", "note"})
_BARE_LENGTH = 10
_UNLIKE_ADDRESS = re.compile(r"(?=[^@]{16})(?:[^@\d]*\d){4}[^@]*@")


@dataclass(frozen=True, slots=True)
class Naming:
    """How a mail names itself and others; every id in angle brackets, without blanks.

    `references` are the ancestors, oldest first; the last one is what the mail answers.
    """

    message_id: str | None
    in_reply_to: str | None
    references: tuple[str, ...]


def naming(head: headers.Headers, people: Collection[str]) -> Naming:
    """Return the ids in the head of a mail; `people` are the addresses it names elsewhere, in lower case."""
    own = own_id(head)
    answered = [id for id in _named(head.get("in-reply-to"), people)[-1:] if id != own]
    ancestors = dict.fromkeys([*_named(" ".join(head.get_all("references")), people), *answered])
    ancestors.pop(own or "", None)  # no mail answers itself
    return Naming(
        message_id=own,
        in_reply_to=answered[0] if answered else None,
        references=_shortened(list(ancestors)),
    )


def own_id(head: headers.Headers) -> str | None:
    """Return the id that a mail bears, in angle brackets even where it has none."""
    value = _decoded(head.get("message-id"))
    for id in (*_bracketed(value), value.strip("<> \t")):
        if _is_id(id):
            return f"<{id}>"
    return None


def _named(value: str, people: Collection[str]) -> list[str]:
    """Return the ids of other mails: in angle brackets, or bare ones that no address looks like."""
    if not value:
        return []
    value = _decoded(value)
    found = [id for id in _bracketed(value) if _is_id(id)] or _bare(value.split())
    return [f"<{id}>" for id in found if id.lower() not in people]


def _bare(words: Sequence[str]) -> list[str]:
    """Return ids without angle brackets, if nothing else stands there."""
    return list(words) if all(_is_id(word) and _UNLIKE_ADDRESS.match(word) for word in words) else []


def _decoded(value: str) -> str:
    """Return a header with its encoded words decoded: some programs encode (RFC 2047) and fold long ids."""
    return encodable(headers.text(value) if "=?" in value else value)


def _bracketed(value: str) -> Iterable[str]:
    """Return what stands in angle brackets, outside of quotes and comments, but no names' addresses."""
    if _PLAIN.fullmatch(value):  # nothing else stands there, as in nearly all mail
        return [piece.rstrip()[:-1] for piece in value.split("<")[1:]]
    return _among_words(value)


def _among_words(value: str) -> Iterator[str]:
    words: list[str] = []
    seen = False
    for token in _TOKEN.findall(value):
        if not token.startswith("<"):
            words.append(token.strip(",;:").lower())
            continue
        if not _introduces_person(words, seen):
            yield _BLANKS.sub("", token[1:-1])
        words, seen = [], True


def _introduces_person(words: Sequence[str], seen: bool) -> bool:
    """Tell whether the words before an angle bracket are a name: "from Ann Lee", or nothing else at all.

    `seen` says that other brackets came before these.
    """
    if not words:
        return False
    if not _SENDERS.isdisjoint(words):
        return True
    dated = any(character.isdigit() for word in words for character in word)
    return not (seen or dated or words[-1].startswith(('"', "(")) or not _INTRODUCTIONS.isdisjoint(words))


def _is_id(text: str) -> bool:
    """Tell whether a text can name one mail; without an @ it must be long and have digits."""
    if not text or len(text) > bounds.MESSAGE_ID_CHARACTERS - 2 or _UNFIT.search(text):
        return False
    left, at, right = text.rpartition("@")
    if not at:
        return len(text) >= _BARE_LENGTH and any(character.isdigit() for character in text)
    return bool(left and right) and left.lower() not in _EMPTY_WORDS


def _shortened(ids: list[str]) -> tuple[str, ...]:
    """Keep the first, which names the thread, and the latest."""
    most = bounds.REFERENCES
    return tuple(ids if len(ids) <= most else ids[:1] + ids[1 - most :])
