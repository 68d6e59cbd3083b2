"""What tests share stands beside them, not in one of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FILES = sorted(TESTS.rglob("*.py"))
SHARED = sorted(TESTS.glob("worlds/*.py"))
LINES = 300
FORMS = {
    "import tests.unit.test_guard": ["tests.unit.test_guard"],
    "from tests.unit.test_guard import filled": ["tests.unit.test_guard.filled"],
    "from tests.unit import test_guard as guard": ["tests.unit.test_guard"],
    "from .test_guard import filled": ["test_guard.filled"],
    "def late():\n    from . import test_guard": ["test_guard"],
    "from tests.worlds.sync import World": [],
}


def imported(tree: ast.AST) -> Iterator[str]:
    """Name whatever is imported, anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}".lstrip(".") for alias in node.names)


def imported_tests(tree: ast.AST) -> list[str]:
    return [name for name in imported(tree) if any(part.startswith("test_") for part in name.split("."))]


def of_file(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("source", FORMS)
def test_an_import_of_a_test_is_seen_in_any_form(source: str) -> None:
    assert imported_tests(ast.parse(source)) == FORMS[source]


def test_no_test_imports_a_test() -> None:
    found = {str(path.relative_to(TESTS)): imported_tests(of_file(path)) for path in FILES}
    assert len(found) > 200
    assert {name: tests for name, tests in found.items() if tests} == {}


def test_no_fake_lives_in_a_world() -> None:
    """Worlds are made of fakes, not the other way round."""
    for path in TESTS.glob("fakes/*.py"):
        assert [name for name in imported(of_file(path)) if name.startswith("tests.worlds")] == [], path


def test_a_world_is_read_at_a_glance() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in SHARED}
    assert lines.keys() >= {"sync.py", "webhooks.py", "api.py", "machines.py"}
    assert {name: count for name, count in lines.items() if count > LINES} == {}
