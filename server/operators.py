"""Who is an operator: until accounts exist, whoever bears their token or signed in with it.

In development figures and flags are open to be read; changing them always takes the token, which
`DATA_DIR/admin-token` has where none was set, or the cookie that `/admin` gives for it.
"""

from typing import Literal, Protocol

from starlette.requests import HTTPConnection, Request

from flags.model import Author
from server.errors import ProblemError
from server.operator_sessions import COOKIE, OperatorSessions
from server.settings import Settings


class OperatorServices(Protocol):
    """What is needed of the services to tell an operator."""

    @property
    def settings(self) -> Settings: ...
    @property
    def operator_sessions(self) -> OperatorSessions: ...


def is_reader(request: Request) -> bool:
    """Say whether the caller may read what is the operators': anybody in development."""
    services: OperatorServices = request.app.state.services
    return services.settings.app_env != "production" or is_admin(request)


def may_read(request: Request) -> None:
    """Refuse callers that may not read what is the operators'.

    Raises:
        ProblemError: 401.
    """
    if not is_reader(request):
        raise _unauthenticated()


def is_admin(connection: HTTPConnection) -> bool:
    """Say whether the caller may change what is the operators', and see all of it."""
    return _proof(connection) is not None


def admin(request: Request) -> Author:
    """Return who changes something, for the audit: by which proof.

    Raises:
        ProblemError: 401, also in development.
    """
    proof = _proof(request)
    if proof is None:
        raise _unauthenticated()
    return Author(proof, request_id=request.state.request_id)


def _proof(connection: HTTPConnection) -> Literal["admin_token", "admin_cookie"] | None:
    services: OperatorServices = connection.app.state.services
    sessions = services.operator_sessions
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    # The header's bytes came decoded as Latin-1; back to bytes, any character can be compared.
    if sessions.is_token(given.strip().encode("latin-1")) and scheme.lower() == "bearer":
        return "admin_token"
    cookie = connection.cookies.get(COOKIE)
    return None if cookie is None or sessions.ends_at(cookie) is None else "admin_cookie"


def _unauthenticated() -> ProblemError:
    return ProblemError(
        401,
        "unauthenticated",
        "Send Authorization: Bearer with the operators' token, or sign in at /admin.",
        headers={"WWW-Authenticate": 'Bearer realm="operators"'},
    )
