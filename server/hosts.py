"""By which names the service may be called: a page elsewhere may point its own name at us.

Source: RFC 9110 section 7.2, and what is known as DNS rebinding: such a page is of one origin with
what answers it, so that no other check of where a request comes from would hold it up.
"""

from collections.abc import Callable
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from server.errors import ProblemError, refusal
from server.settings import Settings
from server.settings.web import LOOPBACK

PROBED = ("/health/live", "/health/ready", "/metrics")
"""Asked by an address by what watches the service; what they tell names nobody."""

Takes = Callable[[str, str], bool]


def taken_hosts(settings: Settings) -> Takes:
    """Return what says whether a name may be used for a path.

    Bare addresses are nobody's names: development takes all of them, production for probes alone.
    Where production was told no name, it cannot tell its own from another one's: it takes any, and
    whatever is in front has to.
    """
    names = LOOPBACK | set(settings.allowed_hosts)
    is_development = settings.app_env == "development"
    if not is_development and not settings.allowed_hosts:
        return lambda name, _: name != ""
    if is_development:
        names |= {settings.host.lower()}

    def takes(name: str, path: str) -> bool:
        return name in names or ((is_development or path in PROBED) and _is_address(name))

    return takes


class HostMiddleware:
    """Refuses requests for other names with 400, and those that name none, or two."""

    def __init__(self, app: ASGIApp, *, takes: Takes) -> None:
        self._app = app
        self._takes = takes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_ours(scope):
            problem = ProblemError(
                400, "unknown_host", "The service is not called by this name; see ALLOWED_HOSTS."
            )
            await refusal(scope, problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"host"]
        if not given:
            return scope["http_version"] == "1.0" and scope["path"] in PROBED
        name = _name_of(given[0].decode("latin-1"))
        return len(given) == 1 and self._takes(name, scope["path"])


def _name_of(host: str) -> str:
    """Return a `Host` without its port and brackets; what is malformed comes back as no name."""
    name, separator, port = host.rpartition(":")
    if not separator or host.endswith("]"):
        name, port = host, ""
    if not (port.isascii() and (port.isdigit() or not port)):
        return ""
    return (name[1:-1] if name.startswith("[") and name.endswith("]") else name).lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
