"""How patient, how careful and how eager the watcher is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.config import Number

NUMBERS: Mapping[str, Number] = {
    "POSTERN_WATCH_LIST_SECONDS": Number(
        "seconds between two looks of the [watcher](watcher.md) at the accounts", 5, 0.1, 3_600, whole=False
    ),
    "POSTERN_WATCH_LOGINS": Number("logins of the watcher in a second", 20, 0.001, 10_000, whole=False),
    "POSTERN_WATCH_HOST_LOGINS": Number(
        "logins of the watcher in a second at one mail server", 10, 0.001, 10_000, whole=False
    ),
}
"""What the environment may set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All times are seconds, all rates per second."""

    list_seconds: float = 5.0
    turn_seconds: float = 300.0  # an IDLE is begun anew: home routers forget quiet connections after minutes
    answer_seconds: float = 30.0
    shortest_poll_seconds: float = 15.0  # of servers without IDLE
    longest_poll_seconds: float = 120.0
    quiet_seconds: float = 1.0  # between two enqueues of one account
    logins_per_second: float = 20.0
    logins_per_second_and_host: float = 10.0
    login_seconds: float = 120.0  # then a server that drips is left to itself
    logins_at_once: int = 16
    logins_at_once_and_host: int = 4
    shortest_wait: float = 2.0  # after a failure; doubled each time
    longest_wait: float = 600.0
    longest_host_wait: float = 120.0
    settled_seconds: float = 60.0  # a connection that held so long was no failure
    refused_wait: float = 3_600.0

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Limits:
        """Read POSTERN_WATCH_LIST_SECONDS, POSTERN_WATCH_LOGINS and POSTERN_WATCH_HOST_LOGINS.

        The last two are logins per second, overall and per mail server. Raises BadSetting.
        """
        env = os.environ if env is None else env
        found = {name: number.of(env, name) for name, number in NUMBERS.items()}
        return cls(
            list_seconds=found["POSTERN_WATCH_LIST_SECONDS"],
            logins_per_second=found["POSTERN_WATCH_LOGINS"],
            logins_per_second_and_host=found["POSTERN_WATCH_HOST_LOGINS"],
        )
