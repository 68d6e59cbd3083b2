"""docs/limits.md lists every bound with its value."""

import re
from pathlib import Path

from chalicelib import bounds

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
SOURCE = (ROOT / "chalicelib" / "bounds.py").read_text(encoding="utf-8")


def _listed() -> dict[str, float]:
    rows = re.findall(r"^\| `(\w+)` \| ([\d,.]+) \| .+ \|$", PAGE, re.M)
    return {name: float(value.replace(",", "")) for name, value in rows}


def test_the_page_lists_every_bound_with_its_value() -> None:
    defined = {name: float(value) for name, value in vars(bounds).items() if name.isupper()}
    assert len(defined) > 4
    assert _listed() == defined


def test_no_bound_takes_the_name_of_another() -> None:
    names = re.findall(r"^([A-Z_]+) = ", SOURCE, re.M)
    assert len(names) == len(set(names)) == len(re.findall(r"^\| `\w+` \|", PAGE, re.M))


def test_every_bound_has_a_sentence() -> None:
    assert re.findall(r'^([A-Z_]+) = .*\n(?!""")', SOURCE, re.M) == []


def test_every_bound_is_used() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "chalicelib").rglob("*.py"))
    assert [name for name in _listed() if f"bounds.{name}" not in code] == []
