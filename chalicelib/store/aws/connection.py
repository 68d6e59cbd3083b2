"""Clients of AWS, built once per process, and the binding of PynamoDB rows to a deployment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import boto3
from botocore.config import Config
from pynamodb.attributes import UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.models import Model

from chalicelib.config import Settings
from chalicelib.store.aws import fast_calls

CONNECT_SECONDS = 2
READ_SECONDS = 10
ATTEMPTS = 4
POOL = 50

_Place = tuple[str, str | None]
_lock = threading.RLock()
_sessions: dict[_Place, Any] = {}
_clients: dict[tuple[_Place, str], Any] = {}


class RowMeta:
    """What PynamoDB asks of a model's Meta; `bind` fills in the deployment."""

    table: ClassVar[str]
    table_name: str
    region: str | None = None
    host: str | None = None
    connect_timeout_seconds = CONNECT_SECONDS
    read_timeout_seconds = READ_SECONDS
    max_pool_connections = POOL
    retry_configuration: ClassVar[Mapping[str, str | int]] = {
        "mode": "standard",
        "total_max_attempts": ATTEMPTS,
    }


class Row(Model):
    """A row of one of our tables.

    Each table has one direct subclass with `class Meta(RowMeta): table = "<name>"`; its entities
    derive from that and share its connection.
    """

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)


def client(settings: Settings, service: str) -> Any:
    """Return the process's one boto3 client of a service (thread-safe)."""
    place = (settings.region, settings.endpoint_url)
    with _lock:
        if (place, service) not in _clients:
            made = _session(place).client(
                service, endpoint_url=settings.endpoint_url, config=_config(settings)
            )
            if service == "dynamodb":
                fast_calls.install(made)
            _clients[place, service] = made
        return _clients[place, service]


def bind(settings: Settings) -> None:
    """Point the rows of every table loaded so far at this deployment; cheap to repeat."""
    with _lock:
        for base in Row.__subclasses__():
            _bind_table(base, settings)


def transactions(settings: Settings) -> Connection:
    """Return what PynamoDB's TransactWrite writes through."""
    connection = Connection(region=settings.region, host=settings.endpoint_url)
    connection._client = client(settings, "dynamodb")
    return connection


def _bind_table(base: type[Row], settings: Settings) -> None:
    meta: Any = base.Meta
    wanted = (f"{settings.table_prefix}-{meta.table}", settings.region, settings.endpoint_url)
    if base._connection and wanted == (meta.table_name, meta.region, meta.host):
        return
    meta.table_name, meta.region, meta.host = wanted
    base._connection = None
    # Left alone, PynamoDB builds a client of its own for every table and thread.
    base._get_connection().connection._client = client(settings, "dynamodb")


def _session(place: _Place) -> Any:
    if place not in _sessions:
        region, endpoint_url = place
        session = boto3.Session(region_name=region)
        if endpoint_url and session.get_credentials() is None:  # an emulator takes any
            session = boto3.Session("local", "local", region_name=region)
        _sessions[place] = session
    return _sessions[place]


def _config(settings: Settings) -> Config:
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=POOL,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
    )
