"""Every error as `application/problem+json` (RFC 9457), and the one table from class to status."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from accounts.errors import (
    AccountsUnavailableError,
    ApiKeyNotFoundError,
    EmailTakenError,
    LastAdminError,
    PasswordsBusyError,
    RefreshReusedError,
    SessionEndedError,
    SessionNotFoundError,
    TooManyApiKeysError,
    UserChangedError,
    UserNotFoundError,
)
from chatbots.errors import (
    ChatbotChangedError,
    ChatbotNotFoundError,
    ChatbotsUnavailableError,
)
from flags.errors import (
    ConditionError,
    FlagInvalidError,
    FlagNotFoundError,
    FlagRequiredError,
    FlagStoreDamagedError,
    FlagStoreUnavailableError,
    IdempotencyMismatchError,
    RolloutRefusedError,
    VersionConflictError,
)
from history.errors import (
    ConversationNotFoundError,
    HistoryUnavailableError,
    IdempotencyConflictError,
    MessageNotFoundError,
    TurnNotFoundError,
    TurnRunningError,
)
from streaming.errors import BusyError, CursorMalformedError, DrainingError
from streaming.speech.errors import SpeechError, SpeechOffError, SpeechTooLongError

log = structlog.get_logger(__name__)

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    410: "Gone",
    412: "Precondition failed",
    413: "Too large",
    414: "Address too long",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    422: "Invalid",
    429: "Too many requests",
    431: "Header fields too large",
    500: "Internal error",
    503: "Unavailable",
}

_CHANGED = "It was changed since; read it again, then decide."
_KILL_HERE = (
    "To kill a flag on one machine without the store, write its key into DATA_DIR/killed-flags, or"
    " start with KILLED_FLAGS."
)

STATUS: dict[type[Exception], tuple[int, str]] = {
    ConversationNotFoundError: (404, "There is no such conversation."),
    TurnNotFoundError: (404, "There is no such turn."),
    MessageNotFoundError: (404, "There is no such message."),
    ChatbotNotFoundError: (404, "There is no such chatbot; GET /api/v1/chatbots lists them."),
    ChatbotChangedError: (412, _CHANGED),
    TurnRunningError: (
        409,
        "The conversation's last answer is still being written; wait or stop it.",
    ),
    IdempotencyConflictError: (409, "This Idempotency-Key came with another body; use a new key."),
    CursorMalformedError: (400, "The cursor is not an event id of this turn."),
    HistoryUnavailableError: (503, "The history cannot be reached; try again in a moment."),
    ChatbotsUnavailableError: (503, "The chatbots cannot be reached; try again in a moment."),
    DrainingError: (503, "The server is restarting; try again in a moment."),
    BusyError: (503, "The server is full; try again in a moment."),
    SpeechOffError: (503, "There is no speech here; its operator can set TTS_ENGINE."),
    SpeechTooLongError: (422, "The speech engine wants shorter sentences."),
    SpeechError: (503, "The speech engine cannot be used now; try again in a moment."),
    UserNotFoundError: (404, "There is no such user."),
    EmailTakenError: (409, "Somebody has an account with this address; sign in, or use another."),
    UserChangedError: (412, _CHANGED),
    LastAdminError: (409, "Nobody would be left to administer; make somebody else an admin first."),
    SessionNotFoundError: (404, "There is no such session; it may be over."),
    SessionEndedError: (401, "Your session has ended; sign in again."),
    RefreshReusedError: (
        401,
        "This refresh token had been used, so the session is over; sign in again.",
    ),
    ApiKeyNotFoundError: (404, "There is no such API key."),
    TooManyApiKeysError: (409, "You have as many API keys as one may have; revoke one first."),
    PasswordsBusyError: (503, "Many are signing in at once; try again in a moment."),
    AccountsUnavailableError: (503, "The accounts cannot be reached; try again in a moment."),
    FlagNotFoundError: (404, "There is no such flag or segment."),
    VersionConflictError: (412, _CHANGED),
    FlagInvalidError: (422, "What is asked for is not valid; see errors."),
    ConditionError: (422, "A condition cannot be understood; see errors."),
    FlagRequiredError: (409, "The server asks this flag: it stays, and keeps its type."),
    IdempotencyMismatchError: (
        409,
        "This Idempotency-Key came with another change; use a new key.",
    ),
    RolloutRefusedError: (409, "The rollout cannot do this where it stands."),
    FlagStoreUnavailableError: (
        503,
        f"The flags' store cannot be reached; a change may have held: read it first. {_KILL_HERE}",
    ),
    FlagStoreDamagedError: (
        503,
        f"What the flags' store holds cannot be read, so nothing was changed. {_KILL_HERE}",
    ),
}
RETRY_AFTER_S = 2
OFREP = "/ofrep/"
"""Below it everything speaks OpenFeature's protocol, refusals too."""


class ProblemError(Exception):
    """A request that is refused: status, a stable code, and one sentence that says what to do."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, object]] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.errors = errors
        self.extra = extra or {}


def problem_response(request_id: str, problem: ProblemError) -> Response:
    """Return the problem as an answer."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
        **problem.extra,
    }
    if problem.errors is not None:
        body["errors"] = list(problem.errors)
    headers = dict(problem.headers)
    if problem.status == 503:  # noqa: PLR2004  # HTTP's own number
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    return JSONResponse(
        body, problem.status, headers=headers, media_type="application/problem+json"
    )


def refusal(scope: Scope, problem: ProblemError) -> Response:
    """Return the problem as whoever asked can read it."""
    if not scope["path"].startswith(OFREP):
        return problem_response(scope["state"]["request_id"], problem)
    body = {"errorCode": "GENERAL", **problem.extra, "errorDetails": problem.detail}
    return JSONResponse(body, problem.status, headers=problem.headers)


def to_problem(error: Exception) -> ProblemError:
    """Map any error to what the caller is told; unknown ones are a 500 that tells nothing."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HTTPException):
        return _from_http(error)
    for cls in type(error).__mro__:
        if cls in STATUS:
            status, detail = STATUS[cls]
            code = cast("str", getattr(error, "code", "error"))
            problem = ProblemError(status, code, detail)
            _tell_more(problem, error)
            return problem
    return ProblemError(
        500, "internal_error", "Something went wrong here; it has been logged under the request id."
    )


def _tell_more(problem: ProblemError, error: Exception) -> None:
    """Add what the caller needs to go on."""
    match error:
        case FlagInvalidError():
            problem.errors = [{"field": error.path, "message": error.reason}]
        case RolloutRefusedError():
            problem.detail = _sentence(str(error))
            if error.wait_s is not None:
                problem.headers = {"Retry-After": str(math.ceil(error.wait_s))}
        case PasswordsBusyError():
            problem.headers = {"Retry-After": str(error.retry_after_s)}
        case VersionConflictError() | ChatbotChangedError() | UserChangedError():
            problem.extra = {"version": error.version}
            if error.version:
                problem.headers = {"ETag": f'"{error.version}"'}
        case _:
            turn_id = getattr(error, "turn_id", None)
            problem.extra = {"turn_id": turn_id} if turn_id else {}


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:].rstrip('.')}."


def _from_http(error: HTTPException) -> ProblemError:
    known = {
        404: ("not_found", "There is nothing at this address."),
        405: ("method_not_allowed", "This address does not take this method; see Allow."),
    }
    code, detail = known.get(
        error.status_code, ("bad_request", "The request cannot be understood.")
    )
    return ProblemError(error.status_code, code, detail, headers=error.headers)


def _methods(request: Request) -> set[str]:
    """Return what an address takes, where a route has it: each route knows only its own methods."""
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return methods


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer an error that a route raised."""
    problem = to_problem(error)
    if isinstance(error, HistoryUnavailableError):
        request.app.state.services.metrics.history_failed("request")
    if isinstance(error, HTTPException) and (methods := _methods(request)):
        problem.headers = {**problem.headers, "Allow": ", ".join(sorted(methods))}
    if problem.status >= 500 and problem.code == "internal_error":  # noqa: PLR2004  # server's fault
        log.error("request.failed", path=request.url.path, exc_info=error)
    return refusal(request.scope, problem)
