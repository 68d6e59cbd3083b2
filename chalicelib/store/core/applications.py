"""Applications: rows of `core`; the client secret is sealed, and hashed for comparison."""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence

from pynamodb.exceptions import PutError, UpdateError
from pynamodb.expressions.update import Action

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.accounts.application import Application
from chalicelib.errors import Conflict, NotFound
from chalicelib.store.aws.connection import bind
from chalicelib.store.core.rows import META, ApplicationRow, application_pk
from chalicelib.store.core.vault import Vault, keyed_hash
from chalicelib.store.values import Admission, Stale

_FIELD = "client_secret"
_NO_HASH = "-" * 64


class ApplicationTable:
    """The port Applications."""

    def __init__(self, settings: Settings, vault: Vault, now: Clock = time.time) -> None:
        bind(settings)
        self._now = now
        self._pepper = settings.pepper
        self._vault = vault

    def create(self, application: Application, secret: str) -> None:
        """Store an application and its sealed client secret. Raises Conflict if the id is taken."""
        row = ApplicationRow(
            application_pk(application.id),
            META,
            id=application.id,
            name=application.name,
            redirect_uris=list(application.redirect_uris),
            icon_url=application.icon_url,
            history_days=application.history_days,
            secret=self._vault.seal(application.id, "", _FIELD, secret.encode()),
            secret_hash=keyed_hash(self._pepper, secret),
        )
        try:
            row.save(condition=ApplicationRow.pk.does_not_exist())
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            raise Conflict(f"Application {application.id} exists already.") from error

    def update(self, application: Application) -> None:
        """Replace name, redirect URIs, icon and history window. Raises NotFound."""
        row = _find(application.id)
        if row is None:
            raise NotFound(f"No application {application.id}.")
        row.update(
            actions=[
                ApplicationRow.name.set(application.name),
                ApplicationRow.redirect_uris.set(list(application.redirect_uris)),
                ApplicationRow.icon_url.set(application.icon_url),
                ApplicationRow.history_days.remove()
                if application.history_days is None
                else ApplicationRow.history_days.set(application.history_days),
            ]
        )

    def get(self, application_id: str) -> Application | None:
        row = _find(application_id)
        return _application(row) if row else None

    def secrets(self, application_id: str, now: int) -> list[str]:
        """Return the client secrets that are valid, the older one first. Raises NotFound."""
        row = self._row(application_id)
        sealed = [row.previous_secret] if _overlaps(row, now) else []
        return [self._open(application_id, one) for one in [*sealed, row.secret]]

    def rotate(self, application_id: str, newest: str, secret: str, until: int) -> None:
        """Replace the newest client secret, which stays valid until then. Raises NotFound, Stale."""
        row = self._row(application_id)
        actions = [
            ApplicationRow.previous_secret.set(row.secret),
            ApplicationRow.previous_hash.set(row.secret_hash),
            ApplicationRow.previous_until.set(until),
            ApplicationRow.secret.set(self._vault.seal(application_id, "", _FIELD, secret.encode())),
            ApplicationRow.secret_hash.set(keyed_hash(self._pepper, secret)),
        ]
        self._change(row, newest, actions)

    def end_overlap(self, application_id: str, newest: str) -> None:
        """Have no secret but the newest be valid. Raises NotFound, Stale."""
        row = self._row(application_id)
        previous = (ApplicationRow.previous_secret, ApplicationRow.previous_hash)
        actions = [*(one.remove() for one in previous), ApplicationRow.previous_until.remove()]
        self._change(row, newest, actions)

    def verify(self, application_id: str, secret: str) -> Admission | None:
        """Return the application if the client secret is valid.

        One read and two comparisons in constant time, whether or not there is such an application.
        """
        row, asked = _find(application_id), keyed_hash(self._pepper, secret)
        overlaps = row is not None and _overlaps(row, int(self._now()))
        newest = hmac.compare_digest(row.secret_hash if row else _NO_HASH, asked)
        previous = hmac.compare_digest((row.previous_hash if row and overlaps else None) or _NO_HASH, asked)
        return Admission(_application(row), newest) if row and (newest or previous) else None

    def _change(self, row: ApplicationRow, newest: str, actions: Sequence[Action]) -> None:
        """Whoever was overtaken, or has never had the newest secret, changes nothing. Raises Stale."""
        try:
            unchanged = ApplicationRow.secret_hash == keyed_hash(self._pepper, newest)
            row.update(actions=list(actions), condition=unchanged)
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            raise Stale(row.id) from error

    def _row(self, application_id: str) -> ApplicationRow:
        row = _find(application_id)
        if row is None:
            raise NotFound(f"No application {application_id}.")
        return row

    def _open(self, application_id: str, sealed: bytes) -> str:
        return self._vault.open(application_id, "", _FIELD, sealed).decode()


def _overlaps(row: ApplicationRow, now: int) -> bool:
    return bool(row.previous_until) and row.previous_until > now


def _application(row: ApplicationRow) -> Application:
    return Application(
        id=row.id,
        name=row.name,
        redirect_uris=tuple(row.redirect_uris),
        icon_url=row.icon_url,
        history_days=None if row.history_days is None else int(row.history_days),
    )


def _find(application_id: str) -> ApplicationRow | None:
    try:
        return ApplicationRow.get(application_pk(application_id), META, consistent_read=True)
    except ApplicationRow.DoesNotExist:
        return None
