"""Lines of a mail's header: encoded words for what is not ASCII, no line too long (RFC 5322, 2047).

The standard library breaks lines otherwise at each patch level, and not always where it may, so nothing of
this is left to it. What is written is read back before it is used.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chalicelib import bounds
from chalicelib.domain.mail.message import Address
from chalicelib.errors import InvalidRequest, TooLarge
from chalicelib.formats.header import headers
from chalicelib.formats.header.addresses import addresses

LINE = 78
"""Characters of a line where there is a place to end it (RFC 5322 §2.1.1)."""

LONGEST = 998
"""Characters of any line; servers cut or refuse longer ones."""

_ENCODED_WORD = 66  # RFC 2047 §2 allows 75; so many fit beside the name of any header of ours
_ENCODED_CONTENT = _ENCODED_WORD - len("=?utf-8?q??=")
_QUOTED = 60
_PRINTABLE = re.compile(r"[ -~]*")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")
_QUOTABLE = re.compile(r"[^\"\\<>]+")
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_WORD_AND_BLANKS = re.compile(r"[^ ]+ *| +")
_HEADER_LINE = re.compile(r"([!-9;-~]+):( [\t -~]*[!-~])?")
_ID = re.compile(r"<[!-;=?-~]+>")
_LONGEST_ID = LONGEST - len("In-Reply-To: ")
_CONTINUATION = re.compile(r"[\t ][\t -~]*[!-~]")


@dataclass(frozen=True, slots=True)
class Header:
    """A header to be written and what a reader must find in it: a text, or mailboxes."""

    name: str
    content: str | Sequence[Address]
    lines: str


def text(name: str, value: str, line: int = LINE) -> Header:
    """Return a header of words, as `Subject`; plain text that such a line holds stays as it is."""
    written = f"{name}: {value}".rstrip()
    if is_plain(value) and len(written) <= line:
        return Header(name, value, f"{written}\r\n")
    longest_word = max(_ENCODED_WORD, line - LINE)
    return Header(name, value, _folded(name, [[word] for word in _words(value, longest_word)]))


def verbatim(name: str, value: str) -> Header:
    """Return a header that a program reads, on one line if any line holds it: some know no folded ones."""
    return text(name, value, LONGEST)


def mailboxes(name: str, people: Sequence[Address]) -> Header:
    """Return a header of mailboxes; a line ends between two of them, or between the words of a long one."""
    units = [_mailbox(person) for person in people]
    for unit in units[:-1]:
        unit[-1] += ","
    return Header(name, people, _folded(name, units))


def ids(name: str, values: Iterable[str]) -> Header:
    """Return a header of Message-IDs, each of which passes `is_id`."""
    words = list(values)
    return Header(name, " ".join(words), _folded(name, [[word] for word in words]))


def is_id(value: str) -> bool:
    """Tell whether a Message-ID can be written: others name no message that a reader would find by them."""
    return _ID.fullmatch(value) is not None and len(value) <= _LONGEST_ID and is_plain(value)


def is_plain(value: str) -> bool:
    """Tell whether a text means itself: printable ASCII in which nothing looks like an encoded word."""
    begin = value.find("=?")
    looks_encoded = begin >= 0 and value.find("?=", begin + 2) >= 0
    return not looks_encoded and _PRINTABLE.fullmatch(value) is not None


def block(parts: Sequence[Header]) -> bytes:
    """Return the headers and the blank line, read back to see that they say what was meant.

    Raises InvalidRequest or TooLarge.
    """
    written = "".join(part.lines for part in parts)
    if len(written) > bounds.SENT_HEADER_BYTES:
        raise TooLarge(
            f"The header has {len(written)} bytes; {bounds.SENT_HEADER_BYTES} are allowed. Nothing was sent."
        )
    found = _unfolded(written)
    if [name for name, _ in found] != [part.name for part in parts]:
        raise InvalidRequest("The header cannot be written. Nothing was sent.")
    for part, (_, value) in zip(parts, found, strict=True):
        if not _says(value, part.content):
            raise InvalidRequest(f"{part.name} cannot be written as it is. Nothing was sent.")
    return f"{written}\r\n".encode("ascii")


def _folded(name: str, units: Iterable[Sequence[str]]) -> str:
    """Return a header of units that stay on one line if they can, made of words that always do."""
    begin = f"{name}:"
    done, line = [], begin
    for unit in units:
        whole = " ".join(unit)
        room = LINE if line != begin else LINE - len(line)
        for word in [whole] if len(whole) < room else unit:
            if len(line) + 1 + len(word) > LINE and (line != begin or len(word) < LINE):
                done.append(line)
                line = ""
            line += f" {word}"
    return "\r\n".join([*done, line]) + "\r\n"


def _words(value: str, longest: int) -> list[str]:
    """Return a text as words with a blank between any two, encoded from the first odd one to the last."""
    words = value.split(" ")
    odd = [n for n, word in enumerate(words) if _is_odd(word, longest)]
    if not odd and is_plain(value):
        return words
    first, last = (odd[0], odd[-1] + 1) if odd and "" not in words else (0, len(words))
    return [*words[:first], *_encoded_words(" ".join(words[first:last])), *words[last:]]


def _is_odd(word: str, longest: int) -> bool:
    """Tell whether a word must be encoded, also because it would make an encoded word with a later one."""
    return not word or len(word) > longest or "=?" in word or "?=" in word or not is_plain(word)


def _mailbox(person: Address) -> list[str]:
    return [*_phrase(person.name), f"<{person.email}>"] if person.name else [person.email]


def _phrase(name: str) -> list[str]:
    """Return a display name as atoms, as a quoted string or as encoded words, whatever is enough."""
    words = name.split(" ")
    if any(_is_odd(word, _QUOTED) for word in words):
        return _encoded_words(name)
    if all(map(_ATOM.fullmatch, words)):
        return words
    if len(name) <= _QUOTED and _QUOTABLE.fullmatch(name):
        return [f'"{name}"']
    return _encoded_words(name)


def _encoded_words(value: str) -> list[str]:
    """Return a text in encoded words, none of which splits a character; mostly ASCII stays legible."""
    quoted = {char: _quoted(char) for char in set(value)}
    if 3 * sum(len(quoted[char]) for char in value) <= 5 * len(value.encode()):
        chunks = _chunks(value, {char: len(code) for char, code in quoted.items()}, _ENCODED_CONTENT)
        return [f"=?utf-8?q?{''.join(quoted[char] for char in chunk)}?=" for chunk in chunks]
    sizes = {char: len(char.encode()) for char in quoted}
    chunks = _chunks(value, sizes, _ENCODED_CONTENT // 4 * 3)
    return [f"=?utf-8?b?{base64.b64encode(chunk.encode()).decode()}?=" for chunk in chunks]


def _quoted(char: str) -> str:
    if char in _SAFE:
        return char
    return "_" if char == " " else "".join(f"={byte:02X}" for byte in char.encode())


def _chunks(value: str, sizes: dict[str, int], room: int) -> Iterator[str]:
    """Cut a text into pieces of at most that size, at blanks where it has some."""
    chunk, left = "", room
    for piece in _pieces(value, sizes, room):
        size = sum(sizes[char] for char in piece)
        if size > left:
            yield chunk
            chunk, left = "", room
        chunk, left = chunk + piece, left - size
    yield chunk


def _pieces(value: str, sizes: dict[str, int], room: int) -> Iterator[str]:
    for word in _WORD_AND_BLANKS.findall(value):
        if sum(sizes[char] for char in word) <= room:
            yield word
        else:
            yield from word


def _unfolded(written: str) -> list[tuple[str, str]]:
    """Read header lines strictly (RFC 5322 §2.2.3); what is none of these lines is not read at all."""
    found: list[tuple[str, list[str]]] = []
    for line in written.split("\r\n")[:-1]:
        begin = _HEADER_LINE.fullmatch(line)
        if len(line) > LONGEST or not (begin or (found and _CONTINUATION.fullmatch(line))):
            return []
        if begin:
            found.append((begin[1], [begin[2] or ""]))
        else:
            found[-1][1].append(line)
    return [(name, "".join(lines)) for name, lines in found]


def _says(value: str, content: str | Sequence[Address]) -> bool:
    if isinstance(content, str):
        return _bare(headers.text(value) if "=?" in value else value) == _bare(content)
    return [person.email for person in addresses([value.strip()])] == [person.email for person in content]


def _bare(value: str) -> list[str]:
    """Return the words of a text; a reader may take byte order marks out and make any blank one blank."""
    return value.replace("\ufeff", "").split()
