"""Parameters of headers (RFC 2045, 2231), with semicolons and quotes or without."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from chalicelib import bounds
from chalicelib.formats.header.headers import one_line, text
from chalicelib.formats.text.charset import decode, encodable

_KNOWN = (
    r"(?:charset|name|filename|boundary|format|delsp|type|start|size|method|protocol|micalg|report-type)"
    r"(?:\*\d{0,4}\*?)?+[ \t\n]*+="
)
_MAIN = re.compile(r'[\s"\']*+([^\s;,="\']++(?:\s*+/\s*+[^\s;,="\']++)?+)["\']?(?!\s*+=)')
_PARAMETER = re.compile(
    rf"""(?:^|[;,]\s*+|(?<=[\s"])(?=\S))([^\s=;,"]++)\s*+=\s*+"""
    rf"""("(?:\\.|[^"\\])*+"|(?:[^;\s]++|\s++(?!{_KNOWN}))*+)""",
    re.DOTALL | re.IGNORECASE,
)
_USUAL_LENGTH = 100
_SECTION = re.compile(r"(.+?)\*(\d{1,4})?(\*)?")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def parameters(value: str) -> tuple[str, Mapping[str, str]]:
    """Return the lower-case value before the parameters, and the decoded parameters."""
    if not value:
        return "", {}
    return _usual(value) if len(value) <= _USUAL_LENGTH else _read(value[: bounds.HEADER_CHARACTERS])


def _read(value: str) -> tuple[str, Mapping[str, str]]:
    main = _MAIN.match(value)
    rest = value[main.end() :] if main else value
    kind = "".join(main[1].lower().split()) if main else ""
    return kind, _parameters(rest) if "=" in rest else {}


_usual = lru_cache(512)(_read)
"""A few values come with nearly every mail."""


def _parameters(rest: str) -> dict[str, str]:
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, raw in _PARAMETER.findall(rest):
        section = _SECTION.fullmatch(name.lower())
        if section is None:
            plain.setdefault(name.lower(), text(_unquoted(raw)))
        else:
            pieces = sections.setdefault(section[1], {})
            extended = section[3] is not None or section[2] is None
            pieces.setdefault(int(section[2] or 0), (_unquoted(raw), extended))
    return plain | {name: _continued(pieces) for name, pieces in sections.items()}


def _unquoted(raw: str) -> str:
    raw = raw.strip()
    if raw[:1] != '"':
        return raw
    return _ESCAPED.sub(r"\1", raw[1:].removesuffix('"'))


def _continued(pieces: dict[int, tuple[str, bool]]) -> str:
    """Join the sections of an RFC 2231 parameter; only the first one names the charset."""
    charset, data = "", []
    for order, number in enumerate(sorted(pieces)):
        value, extended = pieces[number]
        if extended and order == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        raw = value.encode("utf-8", "surrogateescape")
        data.append(unquote_to_bytes(raw) if extended else raw)
    decoded = decode(b"".join(data), charset)
    return text(decoded) if "=?" in decoded else one_line(encodable(decoded))
