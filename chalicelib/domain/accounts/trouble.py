"""What keeps an account from syncing, how long already, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

REASON_CHARACTERS = 300
TRIES_BEFORE_ERROR = 6
ERROR_AFTER = 3_600
STOPPED_AFTER = 72 * 3_600
REFUSALS_APART = 60
FOLDER_PASSES = 3
_FIRST_REST, _LONGEST_REST = 60, 1_800


class FailureKind(StrEnum):
    """What kind of failure a pass ended with."""

    SERVER = "server"
    """The mail server was out of reach or failed."""
    LOGIN = "login"
    """The mail server refused the credentials."""
    STUCK = "stuck"
    """The worker ended without a word: a crash, out of memory or time."""
    INTERNAL = "internal"
    """Sync failed over something nobody foresaw."""
    FOLDER = "folder"
    """Some folders fail while the others sync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Failures since the last success; an account without any has none of it.

    Times are Unix seconds. `refused_at` is when the login was refused first, 0 if it was not; `folders`
    counts the passes in which a folder failed while others did not.
    """

    fault: FailureKind
    reason: str
    since: int
    failures: int = 0
    retry_at: int = 0
    refused_at: int = 0
    folders: tuple[tuple[str, int], ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether some folder has failed so often that the account counts as partly synced."""
        return any(passes >= FOLDER_PASSES for _, passes in self.folders)


def rest(failures: int, share: float) -> int:
    """Return the seconds to wait: 1, 2, 4 … 30 minutes, spread by a quarter by `share` (0 to 1)."""
    bound = min(_LONGEST_REST, _FIRST_REST * 2 ** min(failures - 1, 10))
    return int(bound * (0.75 + 0.5 * share))


def after_failure(
    before: Trouble | None, fault: FailureKind, reason: str, now: int, share: float, patience: int = 0
) -> Trouble:
    """Return what is known after one more failed pass; `patience` is what the server asked for.

    A pass that somebody asked for before the rest was over does not count: else a few seconds' worth of them
    would end in a rest of half an hour.
    """
    failures, refused_at = (before.failures, before.refused_at) if before else (0, 0)
    if before and now < before.retry_at:
        retry_at = max(before.retry_at, now + patience)
    else:
        failures += 1
        retry_at = now + max(rest(failures, share), patience)
    return Trouble(
        fault=fault,
        reason=reason[:REASON_CHARACTERS],
        since=before.since if before and before.failures else now,
        failures=failures,
        retry_at=retry_at,
        refused_at=refused_at or (now if fault is FailureKind.LOGIN else 0),
        folders=before.folders if before else (),
    )


def after_pass(
    before: Trouble | None, failing: Iterable[tuple[str, str]], now: int, *, seen_all: bool = True
) -> Trouble | None:
    """Return what is left after a pass that worked, but for the folders given with their reasons.

    Where not all folders were seen, those that failed before count as failing still. Once the account is
    partial for good, more such passes change nothing: they are not written.
    """
    reasons = dict(failing)
    counted = dict(before.folders) if before else {}
    passes = {id: min(counted.get(id, 0) + 1, FOLDER_PASSES) for id in reasons}
    passes = passes if seen_all else counted | passes
    if not passes:
        return None
    fresh = before is None or not before.folders
    now_known = Trouble(
        fault=FailureKind.FOLDER,
        reason=_reason(before, reasons),
        since=now if fresh or before is None else before.since,
        folders=tuple(sorted(passes.items())),
    )
    if before is not None and replace(now_known, reason=before.reason) == before:
        return before  # only the server's words differ
    return now_known


def _reason(before: Trouble | None, reasons: Mapping[str, str]) -> str:
    earlier = before.reason if before else ""
    return next(iter(reasons.values()), earlier)[:REASON_CHARACTERS]


def is_refused_twice(trouble: Trouble, now: int) -> bool:
    """Tell whether the login was refused a while ago already: one refusal may be the server's hiccup."""
    return bool(trouble.refused_at) and now - trouble.refused_at >= REFUSALS_APART


def is_erring(trouble: Trouble, now: int) -> bool:
    """Tell whether nothing has worked for an hour and six attempts."""
    return trouble.failures >= TRIES_BEFORE_ERROR and now - trouble.since >= ERROR_AFTER


def is_hopeless(trouble: Trouble, now: int) -> bool:
    """Tell whether nothing has worked for 72 hours."""
    return is_erring(trouble, now) and now - trouble.since >= STOPPED_AFTER
