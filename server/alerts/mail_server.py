"""Where mail is handed in, as an address says."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

_PORTS = {"smtps": 465, "smtp": 587}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in: by TLS from the first byte (`smtps`), or by STARTTLS."""

    host: str
    port: int
    is_tls: bool
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine: only there mail may go without TLS."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_mail_server(url: str) -> MailServer:
    """Return what an address says: `smtps://user:password@host:465`, `smtp://host:587`.

    Raises:
        ValueError: it cannot be used; the message says why and never quotes it.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError("must start with smtps:// or smtp://")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("has a port that is none") from None
    if not parts.hostname:
        raise ValueError("must name a host")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must end after the host and the port")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) is not bool(password):
        raise ValueError("must hold a user and a password, or neither")
    is_tls = parts.scheme == "smtps"
    return MailServer(parts.hostname, port or _PORTS[parts.scheme], is_tls, user, password)
