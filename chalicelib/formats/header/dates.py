"""Dates of mail as programs write them: RFC 5322 section 3.3, ISO 8601, and other languages' names."""

from __future__ import annotations

import re
from email.utils import mktime_tz, parsedate_tz
from typing import Final

_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_ELSEWHERE: Final = {
    "ene": "jan", "gen": "jan", "fév": "feb", "fev": "feb", "mär": "mar", "mrz": "mar", "maa": "mar",
    "mrt": "mar", "abr": "apr", "avr": "apr", "mai": "may", "mag": "may", "mei": "may", "maj": "may",
    "giu": "jun", "juin": "jun", "juil": "jul", "lug": "jul", "ago": "aug", "aoû": "aug", "aou": "aug",
    "set": "sep", "okt": "oct", "ott": "oct", "out": "oct", "dic": "dec", "dez": "dec", "déc": "dec",
}  # fmt: skip
_ZONES: Final = {
    "mez": "+0100", "mesz": "+0200", "met": "+0100", "mest": "+0200", "cet": "+0100", "cest": "+0200",
    "bst": "+0100", "est5edt": "-0500", "jst": "+0900",
}  # fmt: skip
_ISO = re.compile(
    r"\s*(\d{4})-(\d\d)-(\d\d)[T ]+(\d\d:\d\d(?::\d\d)?)(?:[.,]\d+)?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
_TIME = re.compile(r"\b\d{1,2}:\d\d(?::\d\d)?")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)\b")
_YEAR = re.compile(r"(?<![+\-\d])\b\d{4}\b")
_WORD = re.compile(r"[^\W\d_]+\.?")
_NAMED_ZONE = re.compile(r"[^\W\d_]+(?:\d[^\W\d_]+)?")


def seconds(text: str) -> int | None:
    """Return the Unix second that a date means; None if it is none. A date without a zone is UTC."""
    try:
        parts = parsedate_tz(_plain(text))
        return int(mktime_tz(parts)) if parts else None
    except (ArithmeticError, LookupError, TypeError, ValueError):  # what the standard library lets through
        return None


def _plain(text: str) -> str:
    """Return a date as the standard library reads it."""
    if iso := _ISO.match(text):
        return _without_dashes(*iso.groups(default="Z"))
    time = _TIME.search(text)
    if time is None:
        return text
    before, rest = _WORD.sub(_translated, text[: time.start()]), text[time.end() :]
    year = _YEAR.search(rest)
    return (
        f"{before} {year[0] if year else ''} {time[0]} {_zone(rest.replace(year[0], '') if year else rest)}"
    )


def _without_dashes(year: str, month: str, day: str, time: str, zone: str) -> str:
    name = _MONTHS[int(month) - 1] if 1 <= int(month) <= 12 else month
    return f"{day} {name} {year} {time} {zone.upper().replace('Z', '+0000').replace(':', '')}"


def _translated(word: re.Match[str]) -> str:
    """Return the English name of a month, whatever else is a word as it is, and no dots."""
    name = word[0].rstrip(".")
    lower = name.lower()
    return _ELSEWHERE.get(lower[:4]) or _ELSEWHERE.get(lower[:3]) or _month_or_nothing(name)


def _month_or_nothing(name: str) -> str:
    """Leave out what is no month: a day of the week, in any language."""
    month = name[:3].lower()
    return month if month in _MONTHS else ""


def _zone(rest: str) -> str:
    """Return what follows the time: the last offset beats any name, and some names are known."""
    if offsets := _OFFSET.findall(rest.partition("(")[0]):
        return "".join(offsets[-1])
    named = _NAMED_ZONE.search(rest)
    return _ZONES.get(named[0].lower(), rest) if named else rest
