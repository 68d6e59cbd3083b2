"""Listing the folders of an account, each with a token that moves when its contents may have."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib import bounds
from chalicelib.domain.remote import Collection
from chalicelib.providers.imap.folders.list_lines import INBOX, key, listed_in, status_in
from chalicelib.providers.imap.folders.roles import Listed, display_name, roles
from chalicelib.providers.imap.protocol.lines import Reply, astring, tokens
from chalicelib.providers.imap.protocol.numbers import state_numbers
from chalicelib.providers.imap.protocol.session import Opened, Session

_PLAIN = b'LIST "" "*"'
_STATUS_IN_FLIGHT = 40  # short questions with short answers
_UNSELECTABLE = frozenset({"\\NOSELECT", "\\NONEXISTENT"})


def token(uidvalidity: int, uidnext: int, messages: int, modseq: int) -> str:
    """Return a collection's token; empty where the server does not count changes."""
    return f"{uidvalidity}:{uidnext}:{messages}:{modseq}" if modseq > 0 else ""


def state_in(told: str) -> Opened | None:
    """Return the state of which a token tells, None if it tells nothing."""
    numbers = [int(part) for part in told.split(":")] if told else []
    return Opened(*numbers) if numbers else None


def collection_list(session: Session) -> list[Collection]:
    """Return every selectable folder, inbox first, then in the server's order."""
    prefix, listed = listing(session)
    named = [(entry, display_name(entry, prefix)) for entry, _ in listed]
    role_of = roles(named)
    found = [
        Collection(id=entry.raw.decode("latin-1"), name=name, role=role_of.get(entry.raw), token=state)
        for (entry, name), (_, state) in zip(named, listed, strict=True)
    ]
    return sorted(found, key=lambda collection: collection.role != "inbox")


def listing(session: Session) -> tuple[str, list[tuple[Listed, str]]]:
    """Return the prefix of the user's own names, and each selectable line of LIST with its token."""
    session.leave()
    namespace, reply = _list(session)
    entries = _selectable(entry for line in reply.of(b"LIST") if (entry := listed_in(line)))
    states = _states(session, reply, [entry.raw for entry in entries])
    return _prefix(namespace), [(entry, states.get(key(entry.raw), "")) for entry in entries]


def _selectable(entries: Iterable[Listed]) -> list[Listed]:
    """Return each folder once; there is one INBOX, whatever LIST says (RFC 3501 section 5.1)."""
    found: dict[bytes, Listed] = {}
    for entry in entries:
        if not entry.attributes & _UNSELECTABLE and (key(entry.raw) not in found or entry.raw == INBOX):
            found[key(entry.raw)] = entry
    inbox = found.pop(INBOX, Listed(INBOX, frozenset(), ""))
    return [inbox, *found.values()][: bounds.FOLDERS]


def _items(session: Session) -> bytes:
    counted = b" HIGHESTMODSEQ" if session.can("CONDSTORE") else b""
    return b"(MESSAGES UIDNEXT UIDVALIDITY" + counted + b")"


def _list(session: Session) -> tuple[Reply | None, Reply]:
    """Return the answers to NAMESPACE (None if the server has none) and to LIST, asked in one go."""
    options = [b"SPECIAL-USE"] if session.can("SPECIAL-USE") else []
    if session.can("LIST-STATUS"):
        options.append(b"STATUS " + _items(session))
    ask = _PLAIN
    if session.can("LIST-STATUS") or session.can("LIST-EXTENDED"):
        ask += b" RETURN (" + b" ".join(options) + b")"
    if session.can("NAMESPACE"):
        namespace, listing = session.wire.run_all([(b"NAMESPACE",), (ask,)])
    else:
        namespace, listing = None, session.wire.run(ask)
    if not listing.ok and ask != _PLAIN:
        listing = session.wire.run(_PLAIN)
    return namespace, listing.or_fail()


def _prefix(namespace: Reply | None) -> str:
    """Return the prefix of the personal namespace, such as INBOX."""
    for line in namespace.of(b"NAMESPACE") if namespace else ():
        match tokens(line)[2:]:
            case [[[bytes() as prefix, *_], *_], *_]:
                return prefix.decode("latin-1")
    return ""


def _states(session: Session, listing: Reply, names: list[bytes]) -> dict[bytes, str]:
    """Return the tokens that came with the listing, asking for those that did not."""
    found = _tokens_in(listing)
    if not session.can("CONDSTORE"):
        return found
    missing = [name for name in names if key(name) not in found]
    commands = [(b"STATUS", astring(name), _items(session)) for name in missing]
    for reply in session.wire.run_all(commands, _STATUS_IN_FLIGHT):
        found.update(_tokens_in(reply))
    return found


def _tokens_in(reply: Reply) -> dict[bytes, str]:
    told = (found for line in reply.of(b"STATUS") if (found := status_in(line)))
    return {key(name): _token(words) for name, words in told}


def _token(words: list[bytes]) -> str:
    facts = state_numbers(zip(words[::2], words[1::2], strict=False))
    if b"UIDVALIDITY" not in facts:
        return ""
    return token(
        facts[b"UIDVALIDITY"],
        facts.get(b"UIDNEXT", 0),
        facts.get(b"MESSAGES", 0),
        facts.get(b"HIGHESTMODSEQ", 0),
    )
