"""Rows of lanes and of the ledger (table `work`), without their keys."""

from __future__ import annotations

import json
from typing import Any

from chalicelib.domain.webhooks.delivery import Attempt, Delivery
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.store.aws.dynamo import Item

_LANE_TEXTS = ("webhook_id", "application_id", "account_id", "replay")
_LANE_NUMBERS = ("told", "epoch", "upto", "since", "until")
_TEXTS = ("id", "webhook_id", "application_id", "account_id", "lane")
_NUMBERS = ("first_seq", "last_seq", "count", "created_at", "due_at", "attempt")


def lane_row(lane: Lane) -> Item:
    """Return a lane as a row; bounds it does not have are left out."""
    numbers = {name: getattr(lane, name) for name in _LANE_NUMBERS}
    return (
        {name: {"S": getattr(lane, name)} for name in _LANE_TEXTS}
        | {name: {"N": str(value)} for name, value in numbers.items() if value is not None}
        | {"under_way": {"S": lane.open}}
    )


def lane_of(row: Item) -> Lane:
    """Return the lane of a row."""
    facts: dict[str, Any] = {name: row[name]["S"] for name in _LANE_TEXTS}
    facts |= {name: int(row[name]["N"]) for name in _LANE_NUMBERS if name in row}
    return Lane(**facts, open=row["under_way"]["S"])


def delivery_row(delivery: Delivery) -> Item:
    """Return a delivery as a row."""
    tries = [[a.at, a.status, a.ms, a.excerpt, a.error] for a in delivery.attempts]
    return (
        {name: {"S": getattr(delivery, name)} for name in _TEXTS}
        | {name: {"N": str(getattr(delivery, name))} for name in _NUMBERS}
        | {"st": {"S": delivery.state}, "attempts": {"S": json.dumps(tries, ensure_ascii=False)}}
    )


def delivery_of(row: Item) -> Delivery:
    """Return the delivery of a row."""
    facts: dict[str, Any] = {name: row[name]["S"] for name in _TEXTS}
    facts |= {name: int(row[name]["N"]) for name in _NUMBERS}
    tries = tuple(_attempt(*one) for one in json.loads(row["attempts"]["S"]))
    return Delivery(**facts, state=row["st"]["S"], attempts=tries)


def _attempt(at: int, status: int, ms: int, excerpt: str, error: str) -> Attempt:
    return Attempt(at=at, status=status, ms=ms, excerpt=excerpt, error=error)
