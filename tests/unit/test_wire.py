import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.accounts.account import SyncState
from chalicelib.errors import ConnectFailed, InvalidRequest
from chalicelib.wire.accounts import connection
from chalicelib.wire.log import cursor


@given(seq=st.integers(1, 10**12), at=st.integers(0, 10**11))
def test_a_cursor_gives_back_what_went_in(seq: int, at: int) -> None:
    assert cursor.decode("acc", cursor.encode("acc", seq, at)) == (seq, at)


def test_the_start_is_zero() -> None:
    assert cursor.encode("acc", 0, 0) == "0" and cursor.decode("acc", "0") == (0, 0)


@pytest.mark.parametrize("text", ["", "1", "x" * 25, "é" * 25, cursor.encode("other", 5, 6)])
def test_a_foreign_or_invented_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid cursor"):
        cursor.decode("acc", text)


def test_a_connection_names_its_missing_fields() -> None:
    with pytest.raises(ConnectFailed) as caught:
        connection.load({"client_id": "c", "name": "n", "email_address": "a@b.example", "settings": {}})
    assert caught.value.body()["missing_fields"] == ["provider"]
    assert caught.value.body()["type"] == "auth_error"


def test_every_state_has_a_short_name() -> None:
    from chalicelib.wire.accounts import account

    assert set(account._SHORT) == set(SyncState)
