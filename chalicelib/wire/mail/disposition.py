"""Content-Disposition of a download (RFC 6266): a foreign file name that can do no harm where it is saved."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

_PATH = re.compile(r"[/\\:]")
_TOKEN = re.compile(r"[A-Za-z0-9!#$&+.^_`|~-]+")
_UNSURE = re.compile(r"[^A-Za-z0-9 !#$&'()+,.@\[\]^_`{}~-]")
_FREE = "!#$&+-.^_`|~"  # attr-char of RFC 8187 without letters and digits


def attachment(name: str) -> str:
    """Return the header for a file of that name.

    It keeps neither a path nor what nobody sees (controls, marks of direction). A plain name stands without
    quotes, because some SDKs of v2 take all that follows `filename=`; beside one that is not plain stands
    `filename*` (RFC 8187), which says it exactly.
    """
    shown = _harmless(name) or "attachment"
    if _TOKEN.fullmatch(shown):
        return f"attachment; filename={shown}"
    letters = (c for c in unicodedata.normalize("NFKD", shown) if not unicodedata.combining(c))
    fallback = _UNSURE.sub("_", "".join(letters))
    header = f'attachment; filename="{fallback}"'
    return header if fallback == shown else f"{header}; filename*=UTF-8''{quote(shown, safe=_FREE)}"


def _harmless(name: str) -> str:
    visible = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return _PATH.sub("_", visible).strip().lstrip(".").rstrip(". ")
