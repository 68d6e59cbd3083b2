"""/messages/search and /threads/search: the mail server looks, our objects answer."""

from __future__ import annotations

from typing import Any

from chalicelib import bounds
from chalicelib.api.mail.shown import Shown, listing
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.message import Message
from chalicelib.errors import AuthRejected, InvalidRequest, ProviderError, Throttled
from chalicelib.http import access
from chalicelib.http.query import Query
from chalicelib.http.routes import Routes
from chalicelib.services import services

search = Routes(__name__)
PARAMETERS = frozenset({"q"})
_MESSAGES_PER_THREAD = 4
_VIEWS = ("ids", "expanded")


@search.route("/messages/search", methods=["GET"])
def search_messages() -> Any:
    """Return messages that match a query, newest first."""
    account = access.writer(search.current_request)
    query = Query(search.current_request, PARAMETERS)
    view = query.view(*_VIEWS)
    found = _found(account, query, 1)
    shown = Shown(account, expanded=view == "expanded")
    return listing(query, view, iter(found), shown.whole_messages)


@search.route("/threads/search", methods=["GET"])
def search_threads() -> Any:
    """Return the threads of messages that match a query, newest first."""
    account = access.writer(search.current_request)
    query = Query(search.current_request, PARAMETERS)
    view = query.view(*_VIEWS)
    ids = {message.thread_id for message in _found(account, query, _MESSAGES_PER_THREAD)}
    threads = services().mail.threads(account.id, ids).values()
    newest = sorted(threads, key=lambda thread: (thread.last_at, thread.id), reverse=True)
    shown = Shown(account, expanded=view == "expanded")
    return listing(query, view, iter(newest), shown.threads)


def _found(account: Account, query: Query, per_object: int) -> list[Message]:
    text, last = _words(query), query.offset() + query.limit()
    if last > bounds.LIST_ITEMS:
        raise InvalidRequest(
            f"Too many results: offset and limit may reach the newest {bounds.LIST_ITEMS} only"
        )
    try:
        return services().search(account, text, min(last * per_object, bounds.LIST_ITEMS)) if last else []
    except AuthRejected as error:
        raise AuthRejected(
            "This search can't be performed because the account's credentials are out of date."
        ) from error
    except Throttled:
        raise
    except ProviderError as error:
        raise ProviderError(
            "The mail server could not be searched; try again later.", server_error=error.message
        ) from error


def _words(query: Query) -> str:
    text = (query.text("q") or "").strip()
    if not text:
        raise InvalidRequest("q is required")
    return text
