"""A real Redis that speaks TLS, with a certificate of its own that no authority has signed."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.machine import program
from tests.support.redis import running_redis


@contextmanager
def running_redis_tls(folder: Path, *, password: str | None = None) -> Iterator[str]:
    """Run a server; yield its address, whose query names the certificate as the authority.

    Skips the test where a program is not installed; fails where REQUIRE_SERVICES=1.
    """
    certificate, key = _made(folder)
    port = _free_port()
    options = ("--tls-port", str(port), "--tls-auth-clients", "no")
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with running_redis(folder, *options, *files, password=password):
        sign_in = "" if password is None else f":{password}@"
        yield f"rediss://{sign_in}127.0.0.1:{port}?ssl_ca_certs={certificate}"


def _made(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        program("openssl", "openssl"),
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return certificate, key


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
