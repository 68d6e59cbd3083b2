"""Calls the functions of app.py the way Lambda does."""

from __future__ import annotations

import importlib
import logging
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib import logs
from infra.local import settings

log = logging.getLogger(__name__)


class FunctionFailed(Exception):
    """The function raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Lambda's context object."""

    function_name: str
    deadline: float
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 1024

    @property
    def invoked_function_arn(self) -> str:
        """Name the function as AWS would."""
        return f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of the function's time."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


def configure_logging() -> None:
    """Log everything of ours, and of the libraries only what is wrong."""
    form = "%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"
    logging.basicConfig(level=settings.level(os.environ), format=form)
    logs.quiet_libraries()


def context(function: str, timeout: float) -> Context:
    """Return the context of one call."""
    return Context(function_name=function, deadline=time.monotonic() + timeout)


def invoke(function: str, event: Mapping[str, Any], timeout: float) -> Any:
    """Call a function of app.py. Raises FunctionFailed."""
    handler = getattr(importlib.import_module("app"), function)
    try:
        return handler(event, context(function, timeout))
    except Exception as error:  # Lambda's edge: whatever a handler raises is a failed invocation
        log.error("%s failed: %s", function, logs.summary(error))
        raise FunctionFailed(function) from error


def failures(answer: Any) -> list[str]:
    """Return the item identifiers of a partial batch response."""
    items = answer.get("batchItemFailures") or [] if isinstance(answer, Mapping) else []
    return [item["itemIdentifier"] for item in items]
