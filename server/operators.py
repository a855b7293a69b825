"""Who is an operator: until accounts exist, whoever bears the operators' token.

In development figures and flags are open to be read; changing them always takes the token, which
`DATA_DIR/admin-token` has where none was set.
"""

import hmac
from typing import Protocol

from pydantic import SecretStr
from starlette.requests import HTTPConnection, Request

from flags.model import Author
from server.errors import ProblemError
from server.settings import Settings


class OperatorServices(Protocol):
    """What is needed of the services to tell an operator."""

    @property
    def settings(self) -> Settings: ...
    @property
    def admin_token(self) -> SecretStr: ...


def is_reader(request: Request) -> bool:
    """Say whether the caller may read what is the operators': anybody in development."""
    services: OperatorServices = request.app.state.services
    return services.settings.app_env != "production" or _has_token(request, services)


def may_read(request: Request) -> None:
    """Refuse callers that may not read what is the operators'.

    Raises:
        ProblemError: 401.
    """
    if not is_reader(request):
        raise _unauthenticated()


def is_admin(connection: HTTPConnection) -> bool:
    """Say whether the caller may change what is the operators', and see all of it."""
    return _has_token(connection, connection.app.state.services)


def admin(request: Request) -> Author:
    """Return who changes something, for the audit.

    Raises:
        ProblemError: 401, also in development.
    """
    if not is_admin(request):
        raise _unauthenticated()
    return Author("admin_token", request_id=request.state.request_id)


def _has_token(connection: HTTPConnection, services: OperatorServices) -> bool:
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    expected = services.admin_token.get_secret_value()
    # The header's bytes came decoded as Latin-1; back to bytes, any character can be compared.
    is_same = hmac.compare_digest(given.strip().encode("latin-1"), expected.encode())
    return is_same and scheme.lower() == "bearer"


def _unauthenticated() -> ProblemError:
    return ProblemError(
        401,
        "unauthenticated",
        "Send Authorization: Bearer with the operators' token.",
        headers={"WWW-Authenticate": 'Bearer realm="operators"'},
    )
