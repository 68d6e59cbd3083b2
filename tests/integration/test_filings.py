"""How far copies of sent mail have come, over DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.config import Settings
from chalicelib.domain.mail.filing import Filing, Stage, filing_key
from chalicelib.store.aws.connection import client
from chalicelib.store.aws.dynamo import key
from chalicelib.store.objects.filings import KEPT_SECONDS, FilingTable
from chalicelib.store.objects.stream import change_of
from tests.integration.aws import deployment


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as settings:
        yield settings


@pytest.mark.parametrize("filing", [Filing(), Filing(Stage.OFFERED, "1.7"), Filing(Stage.FILED)])
def test_what_is_noted_last_is_read_of_that_mail_and_account_only(settings: Settings, filing: Filing) -> None:
    table, name = FilingTable(client(settings, "dynamodb"), settings), filing_key(b"mail")
    assert table.get("a", name) is None
    table.put("a", name, Filing(Stage.OFFERED, "9.9"))
    table.put("a", name, filing)
    assert table.get("a", name) == filing
    assert table.get("b", name) is table.get("a", filing_key(b"other")) is None


def test_a_row_leaves_by_itself_and_is_no_delta(settings: Settings) -> None:
    dynamodb, name = client(settings, "dynamodb"), filing_key(b"mail")
    FilingTable(dynamodb, settings, now=lambda: 1_000.0).put("a", name, Filing())
    row = dynamodb.get_item(TableName=f"{settings.table_prefix}-mail", Key=key(f"a#S#{name}", "S"))["Item"]
    assert int(row["ttl"]["N"]) == 1_000 + KEPT_SECONDS
    assert change_of({"eventName": "INSERT", "dynamodb": {"NewImage": row}}) is None
