"""Certificates that vouch for themselves: trusted by who is told to, by nobody else."""

import ssl
import subprocess
from pathlib import Path

from tests.support.machine import program


def self_signed(folder: Path, name: str = "IP:127.0.0.1") -> ssl.SSLContext:
    """Return what a server with such a certificate needs; `trusting` is its counterpart.

    Skips the test where openssl is not installed; fails where REQUIRE_SERVICES=1.
    """
    command = [program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=receiver", "-addext", f"subjectAltName={name}"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


def trusting(folder: Path) -> ssl.SSLContext:
    """Return what a client needs that trusts the certificate made there."""
    return ssl.create_default_context(cafile=folder / "certificate.pem")
