"""A search as a tree of keys: what the server is asked, and what it must be asked if it knows ASCII only."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.providers.imap.protocol.lines import astring

Words = list[bytes]


@dataclass(frozen=True, slots=True)
class Plain:
    """A key that looks for no text, as the server gets it."""

    words: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A key that looks for a text: TEXT, SUBJECT …; `field` is the header of HEADER."""

    name: str
    text: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Not:
    """What does not match a key."""

    key: Key


@dataclass(frozen=True, slots=True)
class Either:
    """What matches one of two keys, or both."""

    one: Key
    other: Key


@dataclass(frozen=True, slots=True)
class Every:
    """What matches all of some keys."""

    keys: tuple[Key, ...]


Key = Plain | Text | Not | Either | Every
ALL = Plain((b"ALL",))
NONE = Not(ALL)


def written(key: Key) -> Words:
    """Return the keys and arguments of SEARCH, in UTF-8."""
    if isinstance(key, Every):
        return [word for one in key.keys for word in _one(one)]
    return _one(key)


def is_ascii(key: Key) -> bool:
    """Tell whether no text of a search needs a charset."""
    match key:
        case Text():
            return key.text.isascii()
        case Not():
            return is_ascii(key.key)
        case Either():
            return is_ascii(key.one) and is_ascii(key.other)
        case Every():
            return all(map(is_ascii, key.keys))
    return True


def widened(key: Key) -> Key:
    """Return a search in ASCII that finds at least what this one finds."""
    return _bounded(key, ALL)


def _bounded(key: Key, instead: Key) -> Key:
    """Put something instead of each text that is not ASCII, and its opposite below a NOT."""
    match key:
        case Text():
            return key if key.text.isascii() else instead
        case Not():
            return Not(_bounded(key.key, NONE if instead is ALL else ALL))
        case Either():
            return Either(_bounded(key.one, instead), _bounded(key.other, instead))
        case Every():
            return Every(tuple(_bounded(one, instead) for one in key.keys))
    return key


def _one(key: Key) -> Words:
    """Return a key as the single argument of another."""
    match key:
        case Plain():
            return list(key.words)
        case Text():
            field = [key.field.encode()] if key.field else []
            return [key.name.encode(), *field, astring(key.text.encode("utf-8", "replace"))]
        case Not():
            return [b"NOT", *_one(key.key)]
        case Either():
            return [b"OR", *_one(key.one), *_one(key.other)]
        case Every():
            return [b"(", *written(key), b")"]
