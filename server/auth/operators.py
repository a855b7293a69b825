"""Who is an operator: a signed-in admin, or whoever bears the operators' token or its cookie.

In development figures and flags are open to be read; changing them always takes an operator. The
token is in `DATA_DIR/admin-token` where none was set; `/admin` gives the cookie for it.
"""

from typing import Protocol

from starlette.requests import Request

from flags.model import Author
from server.auth.caller import Caller
from server.auth.credentials import Credentials
from server.errors import ProblemError
from server.settings import Settings


class OperatorServices(Protocol):
    """What is needed of the services to tell an operator."""

    @property
    def settings(self) -> Settings: ...
    @property
    def credentials(self) -> Credentials: ...


def is_reader(request: Request) -> bool:
    """Say whether the caller may read what is the operators': anybody in development."""
    services: OperatorServices = request.app.state.services
    return services.settings.app_env != "production" or is_admin(request)


def is_admin(request: Request) -> bool:
    """Say whether the caller may change what is the operators', and see all of it."""
    caller: Caller = request.state.caller
    return caller.operator is not None


def author_of(request: Request) -> Author:
    """Return who changes something, for the audit: by which proof. Only operators are asked.

    Raises:
        ProblemError: 401, it is no operator.
    """
    caller: Caller = request.state.caller
    if caller.operator is None:
        raise unauthenticated_operator()
    return Author(caller.operator, request_id=request.state.request_id)


async def is_still_operator(request: Request) -> bool:
    """Say whether the operator that a request came from is one still: for streams that stay open.

    A store that does not answer takes it from nobody.
    """
    services: OperatorServices = request.app.state.services
    return await services.credentials.still_operates(request.state.caller, request)


def unauthenticated_operator() -> ProblemError:
    """Return the refusal of who has not shown to be an operator."""
    return ProblemError(
        401,
        "unauthenticated",
        "Send Authorization: Bearer with the operators' token, or sign in at /admin.",
        headers={"WWW-Authenticate": 'Bearer realm="operators"'},
    )
