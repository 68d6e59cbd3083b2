"""What goes into the logs at the ordinary level: one line per request and per failure."""

from __future__ import annotations

import logging

LIBRARIES = ("boto3", "botocore", "imapclient", "pynamodb", "urllib3")


def quiet_libraries() -> None:
    """Let the libraries tell only what is wrong: of each connection they would say that it was closed."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def summary(error: BaseException) -> str:
    """Return what went wrong and where, on one line, without the error's words: they may quote a mail."""
    kind = type(error).__name__
    if error.__cause__ is not None:
        kind += f" caused by {type(error.__cause__).__name__}"
    trace, places = error.__traceback__, []
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{kind} at {' > '.join(places)}"
