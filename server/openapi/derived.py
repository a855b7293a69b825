"""What follows from a route's rule: who may call it, and how any route of its kind may refuse."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import get_args

from accounts.model import Scope
from server.auth.routing import Access, ApiRoute
from server.limits.tiers import Tier
from server.openapi.describing import Doc

Problems = Mapping[int, frozenset[str]]

SAFE = frozenset({"GET", "HEAD"})
SECURITY_SCHEMES: Mapping[str, Mapping[str, str]] = {
    "guest": {
        "type": "apiKey",
        "in": "cookie",
        "name": "chat_guest",
        "description": "Set by the first answer to a caller without credentials, where guests are"
        " let in (`ALLOW_GUESTS`). Over https it is named `__Host-chat_guest`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "chat_access",
        "description": "Set by signing in. Over https it is named `__Host-chat_access`.",
    },
    "access_token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The `access_token` that signing in answers.",
    },
    **{
        f"api_key_{scope}": {
            "type": "http",
            "scheme": "bearer",
            "description": f"An API key of scope `{scope}`.",
        }
        for scope in get_args(Scope)
    },
    "operators_token": {
        "type": "http",
        "scheme": "bearer",
        "description": "`ADMIN_TOKEN`, for operators' scripts.",
    },
    "operators_cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "chat_admin",
        "description": "Set by `POST /admin/session`.",
    },
}
_SIGNED_IN = ("session", "access_token")
_BY_TOKEN = ("operators_token", "operators_cookie")
_OWNERS = ("guest", *_SIGNED_IN, "api_key_chat")
_ANYBODY = ""

_TOLD = {
    Access.PUBLIC: "Open to everybody.",
    Access.OWNER: "For owners of conversations: users, guests, and API keys of scope `chat`. A"
    " caller without credentials becomes a guest where guests are let in.",
    Access.ANYBODY_KNOWN: "For owners of conversations and for operators.",
    Access.USER: "For who has signed in; not for guests and API keys.",
    Access.READER: "For operators; in development open to everybody.",
    Access.ADMIN: "For operators: signed-in admins, and who has the operators' token.",
}


def told_access(route: ApiRoute) -> str:
    """Return in words who may call a route."""
    words = _TOLD[route.access]
    if route.key_scope is not None:
        words = f"{words} API keys of scope `{route.key_scope}` are let in, too."
    return words


def security_of(route: ApiRoute) -> Sequence[Mapping[str, Sequence[str]]]:
    """Return the proofs that a route takes, any one of them; an empty one: none is needed."""
    return [{name: ()} if name else {} for name in _proofs(route)]


def _proofs(route: ApiRoute) -> Sequence[str]:
    match route.access:
        case Access.PUBLIC:
            return ()
        case Access.OWNER:
            return (_ANYBODY, *_OWNERS)
        case Access.ANYBODY_KNOWN:
            return (_ANYBODY, *_OWNERS, *_BY_TOKEN)
        case Access.USER:
            return _SIGNED_IN
        case Access.READER:
            keys = () if route.key_scope is None else (f"api_key_{route.key_scope}",)
            return (_ANYBODY, *_SIGNED_IN, *_BY_TOKEN, *keys)
        case Access.ADMIN:
            return (*_SIGNED_IN, *_BY_TOKEN)


def problems_of(route: ApiRoute, method: str, doc: Doc) -> Problems:
    """Return by status the codes that an operation may be refused with: its own, and its kind's."""
    found: dict[int, set[str]] = defaultdict(set)
    for status, codes in doc.problems.items():
        found[status].update(codes)
    for status, code in _of_kind(route, method, doc):
        found[status].add(code)
    return {status: frozenset(codes) for status, codes in sorted(found.items())}


def _of_kind(route: ApiRoute, method: str, doc: Doc) -> Sequence[tuple[int, str]]:
    return (
        *_of_any(route, method),
        *_of_content(route, doc),
        *_of_access(route),
        *_of_tier(route),
    )


def _of_any(route: ApiRoute, method: str) -> Sequence[tuple[int, str]]:
    found = [
        (400, "malformed"),
        (400, "unknown_host"),
        (431, "headers_too_large"),
        (500, "internal_error"),
    ]
    if route.tier is not Tier.ATTACH:
        found.append((503, "timed_out"))
    if method not in SAFE:
        found += [(403, "cross_site"), (408, "request_timeout"), (413, "body_too_large")]
    return found


def _of_content(route: ApiRoute, doc: Doc) -> Sequence[tuple[int, str]]:
    if doc.body is not None:
        return ((415, "unsupported_media_type"), (422, "invalid"))
    has_query = any(each.where == "query" for each in doc.parameters)
    return ((422, "invalid"),) if has_query and route.tier is not Tier.ATTACH else ()


def _of_access(route: ApiRoute) -> Sequence[tuple[int, str]]:
    if route.access is Access.PUBLIC:
        return ()
    proofs = ((401, "unauthenticated"), (401, "session_ended"), (401, "token_expired"))
    if route.tier is Tier.ATTACH:
        return proofs
    return (
        *proofs,
        (403, "forbidden"),
        (429, "too_many_tries"),
        (503, "accounts_unavailable"),
    )


def _of_tier(route: ApiRoute) -> Sequence[tuple[int, str]]:
    return ((429, "rate_limited"),) if is_limited(route) else ()


def is_limited(route: ApiRoute) -> bool:
    """Whether answers tell how much of a limit is left."""
    return route.tier not in {Tier.NONE, Tier.ATTACH, Tier.OPERATORS}
