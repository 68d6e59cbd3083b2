"""Which failures blame the moment and not the message that was being stored.

An error of AWS is known by the library that it comes from, so that nobody has to load that to ask.
"""

from __future__ import annotations

from chalicelib.errors import ApiError
from chalicelib.store.errors import Cancelled, Overloaded
from chalicelib.store.values import LeaseLost, Stale

_LIBRARIES = frozenset({"botocore", "pynamodb"})
# Codes of requests that will be refused for ever: a row that is too large, a value that is none.
_BLAMING = frozenset({"ValidationException", "ValidationError", "SerializationException"})
_NEVER_SENT = "ParamValidationError"
_PASSING = (ApiError, LeaseLost, OSError, Overloaded, Stale)


def is_transient(error: Exception) -> bool:
    """Tell whether the same work may succeed later: the store or the mail server failed, not the message."""
    if isinstance(error, Cancelled):
        return _BLAMING.isdisjoint(error.codes)
    if _is_of_aws(error):
        return _code(error) not in _BLAMING and type(error).__name__ != _NEVER_SENT
    return isinstance(error, _PASSING)


def is_refusal(error: Exception) -> bool:
    """Tell whether it was the store that did not take something."""
    return isinstance(error, Cancelled) or _is_of_aws(error)


def _is_of_aws(error: Exception) -> bool:
    return any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(error).__mro__)


def _code(error: Exception) -> str:
    """Return the code of an answer of AWS, empty if there was none."""
    response = getattr(error, "response", None)
    return str(response["Error"]["Code"]) if isinstance(response, dict) else ""
