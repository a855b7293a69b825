"""Routes that say who may call them: without a rule none can be made, so none can be forgotten."""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from accounts.model import Scope
from server.auth.caller import Caller, Fault
from server.auth.faults import refused
from server.auth.operators import is_reader, unauthenticated_operator
from server.errors import ProblemError
from server.limits.limits import Limits
from server.limits.tiers import Tier
from server.openapi.describing import Doc

Endpoint = Callable[[Request], Awaitable[Response]]


class Access(StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    """Anybody; what is told must be good for everybody."""
    OWNER = "owner"
    """Who has conversations: a user, a guest, an API key for `chat`. Only their own are found."""
    ANYBODY_KNOWN = "anybody_known"
    """Owners and operators."""
    USER = "user"
    """Who has signed in: no guest, no API key."""
    READER = "reader"
    """Who may read what is the operators': in development anybody; an API key of the scope."""
    ADMIN = "admin"
    """Operators: a signed-in admin, or whoever has their token or its cookie."""


class ApiRoute(Route):
    """A route, with who may call it and which limit counts it.

    Args:
        path: The address.
        endpoint: Called only for whom the rule lets in.
        methods: HTTP methods; GET takes HEAD along.
        access: The rule.
        tier: The limit.
        scope: With `Access.READER`: the API keys that are let in, too.
        doc: How it is described in `/openapi.json`; None only for pages, which people look at.
    """

    def __init__(
        self,
        path: str,
        endpoint: Endpoint,
        *,
        methods: Sequence[str] = ("GET",),
        access: Access,
        tier: Tier,
        scope: Scope | None = None,
        doc: Doc | None = None,
    ) -> None:
        self.access = access
        self.tier = tier
        self.key_scope = scope
        self.doc = doc
        super().__init__(path, self._guarded(endpoint), methods=list(methods))

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            if self.tier is Tier.AUTH:  # a stranger's guesses count, whatever comes of them
                await limits_of(request).rates.admit(request, self.tier)
            if (lapsed := self._lapsed(request)) is not None:
                return lapsed
            permit(request, self.access, self.key_scope)
            if self.tier not in COUNTED_ELSEWHERE:
                await limits_of(request).rates.admit(request, self.tier)
            return await endpoint(request)

        return guarded

    def answer_lapsed(self, request: Request, fault: Fault) -> Response | None:  # noqa: ARG002
        """Answer who was signed in, and is no more; None: they are refused."""
        return None

    def _lapsed(self, request: Request) -> Response | None:
        caller: Caller = request.state.caller
        if caller.owner is not None or caller.fault is None:
            return None
        return self.answer_lapsed(request, caller.fault)


COUNTED_ELSEWHERE = frozenset({Tier.AUTH, Tier.ATTACH, Tier.OPERATORS, Tier.NONE})
"""Before the rule, where streams are opened, where proofs are wrong, nowhere."""


def limits_of(request: Request) -> Limits:
    """Return the limits of the process."""
    limits: Limits = request.app.state.services.limits
    return limits


def permit(request: Request, access: Access, scope: Scope | None = None) -> None:
    """Let a caller pass, or refuse.

    Raises:
        ProblemError: 401 where signing in would help, 403 where it would not.
    """
    caller: Caller = request.state.caller
    if access is Access.PUBLIC:
        return
    if caller.fault is not None and caller.fault.by_bearer:
        raise _unproved(caller.fault, access)
    if access is Access.READER:
        if not is_reader(request) and scope not in caller.scopes:
            raise _not_operator(caller)
    elif access is Access.ADMIN:
        if caller.operator is None:
            raise _not_operator(caller)
    elif not _is_someone(caller, access):
        raise _not_known(caller)


def _is_someone(caller: Caller, access: Access) -> bool:
    if access is Access.OWNER:
        return caller.owner is not None
    if access is Access.ANYBODY_KNOWN:
        return caller.owner is not None or caller.operator is not None
    return caller.owner is not None and caller.owner.session_id is not None


def _not_known(caller: Caller) -> ProblemError:
    if caller.scopes:
        return ProblemError(403, "forbidden", "This API key is not for that; make one that is.")
    if caller.owner is None and caller.fault is not None:
        return refused(caller.fault)
    return ProblemError(401, "unauthenticated", "Sign in first.")


def _not_operator(caller: Caller) -> ProblemError:
    if caller.fault is not None:
        return refused(caller.fault)
    if caller.scopes or (caller.owner is not None and caller.owner.session_id is not None):
        return ProblemError(403, "forbidden", "This is for operators; ask one of them.")
    return unauthenticated_operator()


def _unproved(fault: Fault, access: Access) -> ProblemError:
    """Return the refusal of a bearer; to whom the operators' token is missing it says so."""
    if fault.kind == "proves_nothing" and access in {Access.READER, Access.ADMIN}:
        return unauthenticated_operator()
    return refused(fault)
