"""What goes into the logs at the ordinary level: one line per request and per failure."""

from __future__ import annotations

import logging

LIBRARIES = ("boto3", "botocore", "imapclient", "pynamodb", "urllib3")


def quiet_libraries() -> None:
    """Let the libraries tell only what is wrong: of each connection they would say that it was closed."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
