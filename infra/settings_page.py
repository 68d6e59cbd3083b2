"""The table of docs/settings.md that follows from the settings: `python -m infra.settings_page [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from chalicelib import config
from infra.local.run import DEFAULTS
from infra.watcher import limits

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
HEAD = "| Variable | Meaning | Default |\n|---|---|---|\n"
BEGIN, END = "second default holds where there are two.\n\n", "\n## Another AWS endpoint"


def table() -> str:
    """Return a row per setting of a deployment: name, sentence, default, and what holds locally."""
    return HEAD + "".join(f"| `{name}` | {says} | {default} |\n" for name, says, default in _rows())


def written(page: str) -> str:
    """Return the page with the table as it is to be."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


def _rows() -> Iterator[tuple[str, str, str]]:
    local = {**DEFAULTS, **{name: f"{one.default:g}" for name, one in config.LOCAL.items()}}
    for name, number in {**config.NUMBERS, **limits.NUMBERS}.items():
        differs = f"; {local[name]} locally" if name in local else ""
        yield name, number.says, f"{number.default:g}{differs}"
    for name, (says, default) in config.LISTS.items():
        yield name, says, default


def main() -> int:
    """Write the page, or tell whether it is as it is to be."""
    page = PAGE.read_text(encoding="utf-8")
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(written(page), encoding="utf-8")
    elif written(page) != page:
        print("docs/settings.md is not what the settings say: run `python -m infra.settings_page`.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
