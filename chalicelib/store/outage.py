"""Which failures blame the moment and not the message that was being stored."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from pynamodb.exceptions import PynamoDBException

from chalicelib.errors import ApiError
from chalicelib.store.dynamo import Cancelled, Overloaded
from chalicelib.store.values import LeaseLost, Stale

# Codes of requests that will be refused for ever: a row that is too large, a value that is none.
_BLAMING = frozenset({"ValidationException", "ValidationError", "SerializationException"})
_PASSING = (ApiError, BotoCoreError, LeaseLost, OSError, Overloaded, PynamoDBException, Stale)


def is_passing(error: Exception) -> bool:
    """Tell whether the same work may succeed later: the store or the mail server failed, not the message."""
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"] not in _BLAMING
    if isinstance(error, Cancelled):
        return _BLAMING.isdisjoint(error.codes)
    return isinstance(error, _PASSING) and not isinstance(error, ParamValidationError)


def is_refusal(error: Exception) -> bool:
    """Tell whether it was the store that did not take something."""
    return isinstance(error, (BotoCoreError, Cancelled, ClientError, PynamoDBException))
