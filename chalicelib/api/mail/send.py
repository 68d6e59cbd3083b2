"""/send."""

from __future__ import annotations

from typing import Any

from chalicelib.api.mail.shown import Shown
from chalicelib.errors import InvalidRequest
from chalicelib.http import access
from chalicelib.http.query import Query, object_id
from chalicelib.http.routes import Routes
from chalicelib.sending import letter
from chalicelib.services import services
from chalicelib.wire import body as read

sending = Routes(__name__)


@sending.route("/send", methods=["POST"])
def send_message() -> Any:
    """Send a mail; the answer means that the provider has accepted it."""
    account = access.writer(sending.current_request)
    Query(sending.current_request)
    if sending.current_request.headers.get("content-type", "").lower().startswith("message/rfc822"):
        raise InvalidRequest("Sending of raw MIME is not supported: send JSON")
    wanted = letter.load(read.parse(sending.current_request.raw_body))
    for id in filter(None, (wanted.reply_to_message_id, wanted.thread_id)):
        object_id(id)
    return Shown(account).message(services().send(account, wanted))
