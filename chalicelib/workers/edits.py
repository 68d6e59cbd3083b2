"""Queue `edits`: changes the API has made and the mail server has yet to hear of."""

from __future__ import annotations

from chalicelib.domain.accounts.account import RESTING, Account
from chalicelib.domain.jobs import ApplyEdits, CompareAccount, EditsJob, FileSentMail, SyncAccount
from chalicelib.errors import AuthRejected
from chalicelib.services import services
from chalicelib.sync.accounts.schedule import REPAIR_DELAY
from chalicelib.workers import sync


def run(job: EditsJob, received: int = 1) -> None:
    """Make changes on the mail server and sync the account, or file a sent mail; failures are repeated."""
    account = services().accounts.get(job.account_id)
    if account is None or account.state in RESTING:
        return
    try:
        _work(account, job)
    except AuthRejected as error:
        if not sync.reject(account, error):
            raise  # one refusal may be the server's hiccup
        # The change is given up: reconnecting has the account compared with its server.


def _work(account: Account, job: EditsJob) -> None:
    match job:
        case ApplyEdits():
            services().apply_edits(account, job.edits)
            services().queues.send([SyncAccount(account_id=account.id)], account.application_id)
        case FileSentMail():
            services().finish_sending(account, job)


def give_up(job: EditsJob) -> None:
    """Have the account compared with its server a little later: the change is undone then."""
    comparison = CompareAccount(account_id=job.account_id, settled=REPAIR_DELAY // 2)
    account = services().accounts.get(job.account_id)
    group = account.application_id if account else job.account_id
    services().queues.send([comparison], group, delay=REPAIR_DELAY)
