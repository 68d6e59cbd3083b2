"""HTML bodies, compressed (table `body`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import zstandard

from chalicelib import bounds, ids
from chalicelib.store.aws.dynamo import Item, Key, Table
from chalicelib.store.objects import rows

LARGEST = 350_000
"""Compressed bytes; a row of DynamoDB holds 400 KB."""

_LEVEL = 3


class BodyTable:
    """Bodies by message id; one too large for a row is not kept."""

    def __init__(self, table: Table) -> None:
        self._table = table

    @property
    def name(self) -> str:
        """Name of the table, for transactions."""
        return self._table.name

    def get(self, account_id: str, message_ids: Iterable[str], now: float) -> dict[str, str]:
        """Return the bodies that are kept, of a very large one the beginning.

        They never change, so an eventual read will do.
        """
        keys = [body_key(account_id, id) for id in message_ids if ids.is_id(id)]
        found = rows.live(self._table.get_many(keys, consistent=False), now)
        unpacker = zstandard.ZstdDecompressor()
        return {row["pk"]["S"].partition("#")[2]: _unpacked(unpacker, row["b"]["B"]) for row in found}

    def put(self, account_id: str, bodies: Mapping[str, str], ttl: Mapping[str, Item]) -> None:
        """Keep bodies by message id; `ttl` has the attributes that limit each one's life."""
        pack = zstandard.ZstdCompressor(level=_LEVEL).compress
        packed = {id: pack(html.encode("utf-8", "replace")) for id, html in bodies.items()}
        self._table.write_many(
            _row(account_id, id, data) | ttl[id] for id, data in packed.items() if len(data) <= LARGEST
        )


def body_key(account_id: str, message_id: str) -> Key:
    """Return where a body lies."""
    return f"{account_id}#{message_id}", "B"


def _unpacked(unpacker: zstandard.ZstdDecompressor, data: bytes) -> str:
    """Unpack no more than may be shown: some bytes of a row can stand for gigabytes."""
    if 0 <= zstandard.frame_content_size(data) <= bounds.STORED_BODY_BYTES:
        return unpacker.decompress(data).decode("utf-8", "ignore")
    with unpacker.stream_reader(data) as reader:
        return reader.read(bounds.STORED_BODY_BYTES).decode("utf-8", "ignore")


def _row(account_id: str, message_id: str, data: bytes) -> Item:
    pk, sk = body_key(account_id, message_id)
    return {"pk": {"S": pk}, "sk": {"S": sk}, "b": {"B": data}}
