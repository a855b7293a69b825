"""The cookies that say who somebody is: how they are named, set, read and taken back.

Over https they have names that no other host, and no page without TLS, can set (RFC 6265bis 4.1.3);
then only these names are read. None has a narrower path, which would take that name away from it:
a neighbouring host could set `chat_refresh`, and somebody would go on as another without a word.
"""

from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

MAX_COOKIE_AGE_S = 400 * 86_400
"""The longest that browsers keep a cookie."""

_PREFIX = "__Host-"


@dataclass(frozen=True, slots=True)
class Cookie:
    """One of our cookies.

    Args:
        base_name: Over plain http.
    """

    base_name: str

    def name(self, connection: HTTPConnection) -> str:
        """Return what it is called over this connection."""
        return _PREFIX + self.base_name if _is_https(connection) else self.base_name

    def read(self, connection: HTTPConnection) -> str:
        """Return what the caller sent; empty: nothing."""
        return connection.cookies.get(self.name(connection), "")

    def set(self, connection: HTTPConnection, value: str, *, max_age_s: float) -> None:
        """Have the answer set it, whatever the answer is."""
        line = (
            f"{self.name(connection)}={value}; Path=/;"
            f" Max-Age={int(min(max_age_s, MAX_COOKIE_AGE_S))}; HttpOnly; SameSite=Lax"
        )
        headers: MutableHeaders = connection.scope["state"]["response_headers"]
        headers.append("set-cookie", line + "; Secure" if _is_https(connection) else line)

    def delete(self, connection: HTTPConnection) -> None:
        """Have the answer take it back."""
        self.set(connection, "", max_age_s=0)


ACCESS = Cookie("chat_access")
REFRESH = Cookie("chat_refresh")
GUEST = Cookie("chat_guest")


def _is_https(connection: HTTPConnection) -> bool:
    return bool(connection.scope["scheme"] == "https")
