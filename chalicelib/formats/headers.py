"""Mail headers: unfolding, encoded words (RFC 2047) and parameters (RFC 2045, 2231)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from chalicelib.formats.charset import decode, encodable
from chalicelib.formats.transfer import base64_bytes

MAX_TEXT = 20_000
_END = re.compile(rb"\r?\n")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_NAME = re.compile(r"([!-9;-~]+)[ \t]*:")
_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?(.*?)\?=", re.DOTALL)
_PARAMETER = re.compile(r""";\s*([^\s=;"]+)\s*=\s*("(?:\\.|[^"\\])*"?|[^;]*)""", re.DOTALL)
_SECTION = re.compile(r"(.+?)\*(\d{1,4})?(\*)?")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Headers:
    """The headers of a mail or of one of its parts; names in any case."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def get(self, name: str) -> str:
        """Return the first header of that (lower-case) name, still encoded; empty if there is none."""
        return self._values.get(name, [""])[0]

    def get_all(self, name: str) -> list[str]:
        """Return every header of that (lower-case) name, still encoded."""
        return self._values.get(name, [])


def read(raw: bytes, start: int, end: int) -> tuple[Headers, int]:
    """Return the headers that begin at `start` and where the body after them begins."""
    blank = _END.match(raw, start, end) or _BLANK_LINE.search(raw, start, end)
    stop = blank.start() if blank else end
    pairs, junk = _pairs(raw[start:stop].decode("utf-8", "surrogateescape").split("\n"))
    if junk is not None:
        return Headers(pairs), _line_start(raw, start, junk)
    return Headers(pairs), blank.end() if blank else end


def _pairs(lines: list[str]) -> tuple[list[tuple[str, str]], int | None]:
    """Return the headers, and the line where the body begins if that comes before the blank line."""
    folded: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines):
        match = _NAME.match(line)
        if match:
            folded.append((match[1], [line[match.end() :].strip()]))
        elif line[:1] in (" ", "\t") and folded:
            folded[-1][1].append(line.strip())
        elif not _more_follows(lines, number):
            return _joined(folded), number
    return _joined(folded), None


def _more_follows(lines: list[str], number: int) -> bool:
    """Tell whether a line that is no header is mere junk between headers."""
    if number + 1 == len(lines):
        return not lines[number].strip()
    mailbox_line = number == 0 and lines[0].startswith(("From ", ">From "))
    return mailbox_line or (number > 0 and _NAME.match(lines[number + 1]) is not None)


def _joined(folded: list[tuple[str, list[str]]]) -> list[tuple[str, str]]:
    return [(name, pieces[0] if len(pieces) == 1 else " ".join(pieces)) for name, pieces in folded]


def _line_start(raw: bytes, start: int, number: int) -> int:
    for _ in range(number):
        start = raw.index(b"\n", start) + 1
    return start


def text(value: str) -> str:
    """Return the readable text of a raw header value, on one line."""
    value = value[:MAX_TEXT]
    value = _decoded_words(value) if "=?" in value else repaired(value)
    return _CONTROL.sub(_blank, value).strip()


def _blank(match: re.Match[str]) -> str:
    return " " if match[0].strip("\0") else ""


def repaired(value: str) -> str:
    """Return a header that was sent as bare 8-bit text in its likely charset."""
    if value.isascii() and "\x1b" not in value:
        return value
    return decode(value.encode("utf-8", "surrogateescape"), None)


def _decoded_words(value: str) -> str:
    """Decode encoded words; adjacent ones of one charset as one, for they may split a character."""
    done: list[str] = []
    pending, charset, position = b"", "", 0
    for word in _WORD.finditer(value):
        between = value[position : word.start()]
        same = word[1].lower() == charset and not between.strip()
        if pending and not same:
            done.append(decode(pending, charset))
            pending = b""
        if between.strip() or (between and not position):
            done.append(repaired(between))
        pending += _word_bytes(word[2], word[3])
        charset, position = word[1].lower(), word.end()
    done.append(decode(pending, charset))
    done.append(repaired(value[position:]))
    return "".join(done)


def _word_bytes(encoding: str, payload: str) -> bytes:
    data = payload.encode("utf-8", "surrogateescape")
    if encoding in "bB":
        return base64_bytes(data)
    return binascii.a2b_qp(data, header=True)


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """Return the lower-case value before the first semicolon and the decoded parameters after it."""
    main, semicolon, rest = value.partition(";")
    if not semicolon:
        return main.strip().lower(), {}
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, raw in _PARAMETER.findall(";" + rest):
        section = _SECTION.fullmatch(name.lower())
        if section is None:
            plain.setdefault(name.lower(), text(_unquoted(raw)))
        else:
            pieces = sections.setdefault(section[1], {})
            extended = section[3] is not None or section[2] is None
            pieces.setdefault(int(section[2] or 0), (_unquoted(raw), extended))
    return main.strip().lower(), plain | {name: _continued(p) for name, p in sections.items()}


def _unquoted(raw: str) -> str:
    raw = raw.strip()
    if raw[:1] != '"':
        return raw
    return _ESCAPED.sub(r"\1", raw[1:].removesuffix('"'))


def _continued(pieces: dict[int, tuple[str, bool]]) -> str:
    """Join the sections of an RFC 2231 parameter; only the first one names the charset."""
    charset, data = "", b""
    for order, number in enumerate(sorted(pieces)):
        value, extended = pieces[number]
        if extended and order == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        raw = value.encode("utf-8", "surrogateescape")
        data += unquote_to_bytes(raw) if extended else raw
    decoded = decode(data, charset)
    return text(decoded) if "=?" in decoded else _CONTROL.sub(_blank, encodable(decoded))
