"""Every error that may reach a client, and the HTTP face of each.

ApiError                    500  api_error
├── InvalidRequest          400  invalid_request_error
│   ├── Unauthorized        401
│   ├── Forbidden           403
│   ├── NotFound            404
│   ├── NotOffered          405
│   ├── Conflict            409
│   ├── TooLarge            413
│   └── CursorTooOld        400  delta_cursor_expired: take a new cursor and list again
├── TooMany                 429  api_error: too many requests of a kind
├── ConnectFailed           400  auth_error: an account could not be connected
├── SendFailed              any  api_error: the provider's own answer is passed on
└── ProviderError           503  api_error: the remote mail server failed
    ├── AuthRejected        403  credentials must be renewed
    ├── Throttled           429  try again later
    ├── Refused             503  an address we do not talk to; trying again will not help
    ├── Gone                404  the item is no longer on the server
    ├── Interrupted         503  the server hung up over some messages
    ├── SyncFailure         503  what a server said was too much for us
    └── CursorExpired            never leaves sync: forget the cursor and list again
"""

from typing import Any, ClassVar


class ApiError(Exception):
    """Base of all errors; `status` and `type` are what the client sees, `details` joins the body."""

    status: int = 500
    type: ClassVar[str] = "api_error"

    def __init__(self, message: str = "An internal error occurred.", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the v2 API: `type`, `message` and this error's details."""
        return {"type": self.type, "message": self.message, **self.details}


class InvalidRequest(ApiError):
    """The request itself is wrong."""

    status, type = 400, "invalid_request_error"


class Unauthorized(InvalidRequest):
    """No credential, or one nobody knows."""

    status = 401


class Forbidden(InvalidRequest):
    """A known credential that may not do this now."""

    status = 403


class NotFound(InvalidRequest):
    """No such object in this account."""

    status = 404


class NotOffered(InvalidRequest):
    """Something v2 does with such an object and we do not; `allowed` names the methods that there are."""

    status = 405

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class Conflict(InvalidRequest):
    """The object changed meanwhile."""

    status = 409


class TooLarge(InvalidRequest):
    """More bytes than the API takes."""

    status = 413


class CursorTooOld(InvalidRequest):
    """The delta log no longer reaches back to this cursor."""

    type = "delta_cursor_expired"


class TooMany(ApiError):
    """More requests of a kind than are allowed; `seconds` until it makes sense to ask again."""

    status = 429

    def __init__(self, message: str, limit: int, seconds: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.seconds = seconds


class ConnectFailed(ApiError):
    """An account could not be connected; `error` in the details names the step that failed."""

    status, type = 400, "auth_error"


class SendFailed(ApiError):
    """The provider refused a mail; status and `server_error` come from its answer."""

    def __init__(self, status: int, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.status = status


class ProviderError(ApiError):
    """The remote mail server failed; it may work again later.

    `own_words` are the message without what the server said, where the message quotes it.
    """

    status = 503
    own_words = ""


class AuthRejected(ProviderError):
    """The mail server refuses the credentials we hold."""

    status = 403


class Throttled(ProviderError):
    """The mail server asks for patience."""

    status = 429


class Refused(ProviderError):
    """The address is not one we talk to; trying again will not help."""


class NotTaken(ProviderError):
    """The mail server has answered that it does not keep a message given to it."""


class Gone(ProviderError):
    """The item is no longer on the mail server."""

    status = 404


class Interrupted(ProviderError):
    """The mail server hung up while it was asked for messages: `asked`, in the folder `folder_id`."""

    def __init__(self, message: str, asked: tuple[str, ...] = (), folder_id: str = "") -> None:
        super().__init__(message)
        self.asked = asked
        self.folder_id = folder_id


class SyncFailure(ProviderError):
    """Sync failed over something nobody foresaw: an answer of the mail server, a row of the store."""


class CursorExpired(ProviderError):
    """The mail server no longer honours this cursor."""
