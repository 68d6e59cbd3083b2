"""One-time codes (table `work`): found by a keyed hash, with the proof of a mailbox sealed beside.

The table has no backups and drops rows when their time is over, so passwords nobody asked for do not stay.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

from chalicelib import bounds
from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.accounts.connection import Connection, Proof
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.store.aws.dynamo import Table, key
from chalicelib.store.core.tokens import random_text
from chalicelib.store.core.vault import Vault, keyed_hash

_SK = "CODE"


class CodeTable:
    """The port Codes."""

    def __init__(self, client: Any, settings: Settings, vault: Vault, now: Clock = time.time) -> None:
        self._table = Table(client, f"{settings.table_prefix}-work")
        self._pepper = settings.pepper
        self._vault = vault
        self._now = now

    def issue(self, proof: Proof) -> str:
        code, until = random_text(), str(int(self._now()) + bounds.CODE_SECONDS)
        pk, owner = self._pk(code), proof.wanted.application_id
        sealed = self._vault.seal(owner, "", pk, json.dumps(asdict(proof), default=sorted).encode())
        row = key(pk, _SK) | {"application_id": {"S": owner}, "sealed": {"B": sealed}}
        self._table.write_many([row | {"until": {"N": until}, "ttl": {"N": until}}])
        return code

    def redeem(self, application_id: str, code: str) -> Proof | None:
        pk = self._pk(code)
        try:  # one step: of several who redeem at once one gets the row
            answer = self._table.client.delete_item(
                TableName=self._table.name,
                Key=key(pk, _SK),
                ConditionExpression="application_id = :a AND #u > :n",
                ExpressionAttributeNames={"#u": "until"},
                ExpressionAttributeValues={
                    ":a": {"S": application_id},
                    ":n": {"N": str(int(self._now()))},
                },
                ReturnValues="ALL_OLD",
            )
        except self._table.client.exceptions.ConditionalCheckFailedException:
            return None
        sealed = bytes(answer["Attributes"]["sealed"]["B"])
        return _proof(json.loads(self._vault.open(application_id, "", pk, sealed)))

    def decoy(self) -> str:
        return random_text()

    def _pk(self, code: str) -> str:
        return f"CODE#{keyed_hash(self._pepper, code)}"


def _proof(facts: dict[str, Any]) -> Proof:
    wanted = facts.pop("wanted")
    settings, window = wanted.pop("settings"), wanted.pop("window")
    connection = Connection(
        **wanted,
        settings=MailSettings(
            **settings | {"imap": Server(**settings["imap"]), "smtp": Server(**settings["smtp"])}
        ),
        window=RetentionWish(**window | {"dropped": frozenset(window["dropped"])}),
    )
    return Proof(wanted=connection, **facts)
