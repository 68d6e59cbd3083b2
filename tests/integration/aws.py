"""A whole deployment in moto: the five tables, the bucket, the key and the queues, still empty."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import boto3
from botocore.client import BaseClient
from moto import mock_aws

from chalicelib.config import Settings
from chalicelib.store.aws import fast_calls

REGION = "us-east-1"
PREFIX = "test"
TABLES = ("core", "mail", "body", "log", "work")
QUEUES = ("sync", "backfill", "edits", "deliveries")


@contextmanager
def fake_aws() -> Iterator[None]:
    """Answer every AWS client of this process from memory; moto knows botocore's own requests only."""
    with mock_aws(), patch.object(fast_calls, "install"):
        yield


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Make each call whole, as DynamoDB does; moto's calls by several threads get into each other."""
    lock, usual = threading.Lock(), BaseClient._make_api_call

    def call(client: Any, operation: str, request: Any) -> Any:
        with lock:
            return usual(client, operation, request)

    with patch.object(BaseClient, "_make_api_call", call):
        yield


@contextmanager
def deployment() -> Iterator[Settings]:
    """Yield the settings of a fresh deployment that vanishes afterwards."""
    with fake_aws():
        for name in TABLES:
            _create_table(f"{PREFIX}-{name}")
        boto3.client("s3", region_name=REGION).create_bucket(Bucket=f"{PREFIX}-bucket")
        key = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]["KeyId"]
        sqs = boto3.client("sqs", region_name=REGION)
        urls = {name: sqs.create_queue(QueueName=f"{PREFIX}-{name}")["QueueUrl"] for name in QUEUES}
        yield Settings(
            table_prefix=PREFIX,
            bucket=f"{PREFIX}-bucket",
            key_id=key,
            pepper="a pepper for tests",
            queue_urls=urls,
            region=REGION,
            history_days=0,
        )


def rows(settings: Settings, table: str) -> list[dict[str, Any]]:
    """Return every raw row of a table, in DynamoDB's own notation."""
    dynamodb = boto3.client("dynamodb", region_name=settings.region)
    pages = dynamodb.get_paginator("scan").paginate(TableName=f"{settings.table_prefix}-{table}")
    return [row for page in pages for row in page["Items"]]


def _create_table(name: str) -> None:
    boto3.client("dynamodb", region_name=REGION).create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
