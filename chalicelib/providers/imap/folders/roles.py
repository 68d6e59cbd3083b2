"""What a folder is for, and how its name is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imapclient import imap_utf7

_BY_FLAG = {
    "\\ALL": "all",
    "\\ARCHIVE": "archive",
    "\\DRAFTS": "drafts",
    "\\IMPORTANT": "important",
    "\\INBOX": "inbox",
    "\\JUNK": "spam",
    "\\SENT": "sent",
    "\\SPAM": "spam",
    "\\TRASH": "trash",
}
_BY_NAME = {
    "archive": "archive",
    "archives": "archive",
    "bulk mail": "spam",
    "deleted items": "trash",
    "deleted messages": "trash",
    "draft": "drafts",
    "drafts": "drafts",
    "junk": "spam",
    "junk e-mail": "spam",
    "junk email": "spam",
    "sent": "sent",
    "sent items": "sent",
    "sent mail": "sent",
    "sent messages": "sent",
    "spam": "spam",
    "trash": "trash",
}
_LOCALISED = {
    "sent": (
        "gesendet|gesendete objekte|gesendete elemente|envoyés|éléments envoyés|messages envoyés|enviados|"
        "elementos enviados|itens enviados|posta inviata|inviati|verzonden|verzonden items|wysłane|skickat|"
        "sendt|sendte elementer|отправленные|已发送|送信済み|보낸편지함"
    ),
    "trash": (
        "papierkorb|gelöschte objekte|gelöschte elemente|corbeille|éléments supprimés|papelera|"
        "elementos eliminados|lixeira|lixo|cestino|posta eliminata|prullenbak|verwijderde items|kosz|"
        "papperskorg|papirkurv|корзина|удаленные|已删除|ごみ箱|휴지통"
    ),
    "spam": (
        "unerwünscht|junk-e-mail|courrier indésirable|indésirables|correo no deseado|"
        "correio eletrônico indesejado|posta indesiderata|ongewenste e-mail|ongewenst|niechciane|"
        "skräppost|søppelpost|спам|垃圾邮件|迷惑メール|스팸"
    ),
    "drafts": (
        "entwürfe|brouillons|borradores|rascunhos|bozze|concepten|szkice|utkast|kladder|черновики|草稿|下書き"
    ),
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of LIST: the raw name, its upper-case attributes and its separator."""

    raw: bytes
    attributes: frozenset[str]
    separator: str


def display_name(listed: Listed, prefix: str = "") -> str:
    """Return the name people see: decoded, without the namespace, with slashes between levels."""
    name = _decoded(listed.raw)
    if prefix and len(name) > len(prefix) and name.upper().startswith(prefix.upper()):
        name = name[len(prefix) :]
    if listed.separator:
        name = name.replace(listed.separator, "/")
    return "/".join(part for part in name.split("/") if part) or name


def _decoded(raw: bytes) -> str:
    """Return a name in modified UTF-7 (RFC 3501 section 5.1.3), or in what servers write instead."""
    try:
        return str(imap_utf7.decode(raw)) if raw.isascii() else raw.decode("utf-8")
    except ValueError:
        return raw.decode("latin-1")


def roles(folders: Sequence[tuple[Listed, str]]) -> dict[bytes, str]:
    """Give each role to at most one folder (by raw name): by its attribute, else by its name."""
    taken: dict[str, bytes] = {}
    for role, raw in (*_by_flag(folders), *_by_name(folders), *_by_localised_name(folders)):
        if role not in taken and raw not in taken.values():
            taken[role] = raw
    return {raw: role for role, raw in taken.items()}


def _by_flag(folders: Sequence[tuple[Listed, str]]) -> Iterator[tuple[str, bytes]]:
    yield from (("inbox", listed.raw) for listed, _ in folders if listed.raw.upper() == b"INBOX")
    for listed, _ in folders:
        yield from ((_BY_FLAG[flag], listed.raw) for flag in sorted(listed.attributes & _BY_FLAG.keys()))


def _by_name(folders: Sequence[tuple[Listed, str]]) -> Iterator[tuple[str, bytes]]:
    for listed, name in folders:
        if name.lower() in _BY_NAME:
            yield _BY_NAME[name.lower()], listed.raw


def _by_localised_name(folders: Sequence[tuple[Listed, str]]) -> Iterator[tuple[str, bytes]]:
    for role, names in _LOCALISED.items():
        matches = [listed.raw for listed, name in folders if name.lower() in names.split("|")]
        if len(matches) == 1:
            yield role, matches[0]
