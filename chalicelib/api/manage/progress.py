"""How far the sync of an account has come, from what lies beside its cursors."""

from __future__ import annotations

import time
from typing import Any

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.sync import progress
from chalicelib.services import services
from chalicelib.wire.accounts import progress as wire


def progress_of(account: Account) -> dict[str, Any]:
    """Return the progress object of an account."""
    here = services()
    folders, tallies = here.mail.folders(account.id), here.checkpoints.tallies(account.id)
    failing = dict(account.trouble.folders) if account.trouble else ()
    found = progress.progress_of(folders, here.window(account), tallies, time.time(), failing)
    return wire.dump(account, found)
