"""docs/compatibility.md lists what is served, no more and no less."""

import re
from pathlib import Path

from app import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"


def test_every_route_and_method_stands_in_the_compatibility_table() -> None:
    rows = re.findall(r"^\| `(/[^`]*)` \| ([A-Z, ]+) \|", PAGE.read_text(encoding="utf-8"), re.M)
    listed = {path: set(methods.split(", ")) for path, methods in rows}
    assert listed == {path: set(methods) for path, methods in app.routes.items()}
