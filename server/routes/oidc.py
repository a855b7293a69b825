"""Signing in with an OpenID Connect provider: away to it, and back.

A browser comes and goes here, no script: what goes wrong leads back to the page, as
`/?sign_in_error=<code>`. What the provider said is in no answer and no log.
"""

from urllib.parse import urlencode, urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from accounts.errors import AccountsError
from accounts.model import User
from server.audit import audit
from server.auth.cookies import Cookie
from server.auth.oidc.attempts import MAX_AGE_S, Attempt
from server.auth.oidc.errors import OidcError
from server.auth.oidc.linking import user_of
from server.auth.routing import Access, ApiRoute
from server.auth.sessions import begin_session, set_session_cookies
from server.changes import NO_STORE
from server.errors import ProblemError
from server.limits.tiers import Tier
from server.openapi.described import oidc as described
from server.services.sign_in_provider import SignInProvider
from server.wire import services_of

log = structlog.get_logger(__name__)

ATTEMPT = Cookie("chat_oidc")
MAX_TARGET_CHARS = 500


async def login(request: Request) -> Response:
    """Send the browser to the provider."""
    provider = _provider(request)
    attempt, cookie = provider.attempts.make(_target(request))
    try:
        address = await provider.client.address(attempt)
    except OidcError as error:
        return _failed(error)
    ATTEMPT.set(request, cookie, max_age_s=MAX_AGE_S)
    return RedirectResponse(address, 302, headers=NO_STORE)


async def callback(request: Request) -> Response:
    """Sign in whoever the provider sends back, and lead them to where they wanted to go."""
    provider = _provider(request)
    ATTEMPT.delete(request)  # once, whatever comes of it
    try:
        attempt = _attempt(request, provider)
        user = await _identified(request, provider, attempt)
        set_session_cookies(request, await begin_session(request, user))
    except OidcError as error:
        return _failed(error)
    except AccountsError as error:
        return _failed(OidcError("unavailable", error.code))
    await audit(
        request,
        "auth.signed_in",
        user.user_id,
        details={"by": "oidc", "issuer": provider.client.issuer},
        who=user.user_id,
    )
    return RedirectResponse(attempt.target, 303, headers=NO_STORE)


def _attempt(request: Request, provider: SignInProvider) -> Attempt:
    query = request.query_params
    attempt = provider.attempts.read(ATTEMPT.read(request), query.get("state", ""))
    if attempt is None or len(query.multi_items()) != len(query):
        raise OidcError("expired", "no sign-in of this browser is under way")
    return attempt


async def _identified(request: Request, provider: SignInProvider, attempt: Attempt) -> User:
    claims = await provider.client.claims(dict(request.query_params), attempt)
    return await user_of(request, provider.client.issuer, claims)


def _provider(request: Request) -> SignInProvider:
    provider = services_of(request).sign_in_provider
    if provider is None:
        raise ProblemError(
            404, "not_found", "No provider is set up here; sign in with address and password."
        )
    return provider


def _failed(error: OidcError) -> Response:
    log.warning("oidc.sign_in_failed", code=error.code, reason=error.reason)
    return RedirectResponse(f"/?{urlencode({'sign_in_error': error.code})}", 303, headers=NO_STORE)


def _target(request: Request) -> str:
    """Return where to go in the end: a path of ours, so that nobody is led elsewhere.

    Raises:
        ProblemError: 422, it is something else.
    """
    target = request.query_params.get("next", "/")
    if len(target) <= MAX_TARGET_CHARS and _is_local(target):
        return target
    message = "must be a path of this server, such as /c/conv_1"
    raise ProblemError(
        422, "invalid", f"next {message}.", errors=[{"field": "next", "message": message}]
    )


def _is_local(target: str) -> bool:
    """Say whether every browser takes it for a path: some read a backslash as a slash."""
    if not target.startswith("/") or target.startswith("//") or "\\" in target:
        return False
    if not target.isascii() or not target.isprintable() or " " in target:
        return False
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc and not parts.path.startswith("/api/")


_HERE = "/api/v1/auth/oidc"
routes = [
    ApiRoute(f"{_HERE}/login", login, access=Access.PUBLIC, tier=Tier.AUTH, doc=described.LOGIN),
    # A browser that was sent away comes back once: only those that begin are few.
    ApiRoute(
        f"{_HERE}/callback",
        callback,
        access=Access.PUBLIC,
        tier=Tier.API,
        doc=described.CALLBACK,
    ),
]
