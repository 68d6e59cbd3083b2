"""The edge of a sync: what nobody foresaw becomes a failure that the account tells of."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.errors import SyncFailure
from chalicelib.store.transient import is_transient

log = logging.getLogger(__name__)


@contextmanager
def foreseen(what: str, *meant: type[Exception]) -> Iterator[None]:
    """Raise SyncFailure in place of what nobody foresaw; what may pass or is `meant` goes on.

    The log has the way to it, but never its text: that may quote a mail.
    """
    try:
        yield
    except Exception as error:  # no message and no server may end a sync without a word
        if is_transient(error) or isinstance(error, meant):
            raise
        way = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s failed: %s\n%s", what, named(error), way)
        raise SyncFailure(f"Postern failed over what it met: {named(error)}.", step="mailbox") from error


def named(error: BaseException) -> str:
    """Name an error by its class and the line it came from, without its text."""
    trace, place = error.__traceback__, "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        place, trace = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}", trace.tb_next
    return f"{type(error).__name__} at {place}"
