"""Applications: rows of `core`; the client secret is sealed, and hashed for comparison."""

from __future__ import annotations

import hmac

from pynamodb.exceptions import PutError

from chalicelib.config import Settings
from chalicelib.domain.account import Application
from chalicelib.errors import Conflict, NotFound
from chalicelib.store.connection import bind
from chalicelib.store.tables.core import META, ApplicationRow, application_pk
from chalicelib.store.vault import Vault, keyed_hash

_FIELD = "client_secret"


class ApplicationTable:
    """The port Applications."""

    def __init__(self, settings: Settings, vault: Vault) -> None:
        bind(settings)
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
        """Replace name, redirect URIs and icon. Raises NotFound."""
        row = _find(application.id)
        if row is None:
            raise NotFound(f"No application {application.id}.")
        row.update(
            actions=[
                ApplicationRow.name.set(application.name),
                ApplicationRow.redirect_uris.set(list(application.redirect_uris)),
                ApplicationRow.icon_url.set(application.icon_url),
            ]
        )

    def get(self, application_id: str) -> Application | None:
        """Return an application, None if there is none."""
        row = _find(application_id)
        if row is None:
            return None
        return Application(
            id=row.id,
            name=row.name,
            redirect_uris=tuple(row.redirect_uris),
            icon_url=row.icon_url,
        )

    def secret(self, application_id: str) -> str:
        """Unseal and return the client secret (it signs webhooks). Raises NotFound."""
        row = _find(application_id)
        if row is None:
            raise NotFound(f"No application {application_id}.")
        return self._vault.open(application_id, "", _FIELD, row.secret).decode()

    def verify(self, application_id: str, secret: str) -> bool:
        """Compare a client secret in constant time; an unknown application has none."""
        row = _find(application_id)
        stored = row.secret_hash if row else ""
        return hmac.compare_digest(stored, keyed_hash(self._pepper, secret))


def _find(application_id: str) -> ApplicationRow | None:
    try:
        return ApplicationRow.get(application_pk(application_id), META, consistent_read=True)
    except ApplicationRow.DoesNotExist:
        return None
