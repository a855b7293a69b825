"""What stands between tests and a server: nothing, or with FRONT=nginx our nginx and its TLS.

Through it go the clients that a server gives out, and pages. What speaks to a port byte by byte
speaks to the server itself.
"""

import atexit
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path

import pytest

from tests.support.certificates import self_signed, trusting
from tests.support.nginx import DOMAIN, Nginx, running_nginx

FRONTED = os.environ.get("FRONT") == "nginx"  # noqa: TID251 - a switch of the tests, not a setting
SETTINGS = {"TRUSTED_PROXIES": "127.0.0.1"} if FRONTED else {}
"""What a server is told of what is in front of it."""
_BOUNDS = ("--requests-per-s", "10000", "--burst", "10000", "--connections", "10000")
"""All callers of a test have one address."""
_fronts: dict[int, Nginx] = {}


def unfronted(why: str) -> pytest.MarkDecorator:
    """Leave a test out where something is in front of servers."""
    return pytest.mark.skipif(FRONTED, reason=f"not through nginx: {why}")


@asynccontextmanager
async def front_of(port: int, folder: Path) -> AsyncGenerator[None, None]:
    """Have what the tests want before the server on this port until the block ends."""
    if not FRONTED:
        yield
        return
    certificate, _ = _certificate()
    paths = ["--certificate", str(certificate / "certificate.pem")]
    paths += ["--key", str(certificate / "key.pem")]
    async with running_nginx(folder, upstream=port, options=[*paths, *_BOUNDS]) as nginx:
        _fronts[port] = nginx
        try:
            yield
        finally:
            del _fronts[port]


def url_of(port: int) -> str:
    """Return where callers reach the server on this port."""
    front = _fronts.get(port)
    return f"http://127.0.0.1:{port}" if front is None else front.url


def port_of(port: int) -> int:
    """Return the port on which callers reach the server on this port."""
    front = _fronts.get(port)
    return port if front is None else front.https_port


def origin_at(port: int) -> str:
    """Return where a page is that reaches a server through this port of ours."""
    return f"https://{DOMAIN}:{port}" if FRONTED else f"http://127.0.0.1:{port}"


def cookie(name: str) -> str:
    """Return what a cookie of ours is called: over https it is bound to the host."""
    return f"__Host-{name}" if FRONTED else name


def trust() -> ssl.SSLContext | bool:
    """Return what callers trust; where there is no TLS, nothing: loading it would take 40 ms."""
    return _certificate()[1] if FRONTED else False


@lru_cache(maxsize=1)
def _certificate() -> tuple[Path, ssl.SSLContext]:
    """Make one certificate for all, which other clients of this process and its children trust."""
    folder = Path(tempfile.mkdtemp(prefix="front-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    self_signed(folder, f"DNS:{DOMAIN}")
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        os.environ[name] = str(folder / "certificate.pem")  # noqa: TID251 - for programs of tests
    return folder, trusting(folder)
