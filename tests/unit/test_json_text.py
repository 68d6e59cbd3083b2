"""JSON in the texts of rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.json_text import dumps, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_it_is_written_as_python_would_and_read_back(value: Any) -> None:
    text = dumps(value)
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert json.loads(text) == value


@pytest.mark.parametrize("value", ["half a pair \ud83d", 2**70, ("a", ("b",)), {1: 2}])
def test_what_orjson_refuses_is_written_all_the_same(value: Any) -> None:
    assert dumps(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def test_old_rows_with_blanks_are_read() -> None:
    assert loads('{"a": [1, "é"]}') == {"a": [1, "é"]}
