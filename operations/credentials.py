"""Files and certificates that expire or are the wrong ones."""

import json
import socket
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from operations.findings import Finding, fail, ok, warn

WARN_DAYS = 21
TIMEOUT_S = 5.0

_NEEDED = ("client_email", "private_key", "token_uri")


def service_account(path: Path) -> Finding:
    """Return whether a file is a service account's key that others cannot read."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return fail("speech", f"{path}: {error.strerror}")
    except ValueError:
        return fail("speech", f"{path} is not JSON: download the key again")
    if not isinstance(told, dict) or told.get("type") != "service_account":
        return fail("speech", f"{path} is no service account's key")
    if missing := [name for name in _NEEDED if not told.get(name)]:
        return fail("speech", f"{path} lacks {', '.join(missing)}: download the key again")
    if path.stat().st_mode & 0o077:
        return warn("speech", f"{path} can be read by others: chmod 600 {path}")
    return ok("speech", f"{path} is the key of {told['client_email']}")


def certificate_of_file(path: Path) -> Finding:
    """Return until when the first certificate of a file is good."""
    name = f"certificate {path}"
    command = ["openssl", "x509", "-in", str(path), "-noout", "-enddate"]
    try:
        done = subprocess.run(  # noqa: S603  # no shell; openssl by its name
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return fail(name, "openssl did not run: install it")
    if done.returncode:
        return fail(name, "there is no certificate in it")
    return _judged(name, done.stdout.strip().removeprefix("notAfter="))


def certificate_of_host(host: str) -> Finding:
    """Return whether a host's certificate is trusted here, is of its name, and until when."""
    name = f"certificate {host}"
    address, _, port = host.partition(":")
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((address, int(port or 443)), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=address) as encrypted,
        ):
            told = encrypted.getpeercert() or {}
            version = encrypted.version()
    except ssl.SSLCertVerificationError as error:
        return fail(name, f"is not trusted: {error.verify_message}")
    except (OSError, ValueError) as error:
        return fail(name, f"cannot be reached: {error}")
    return _judged(name, str(told.get("notAfter", "")), f"{version}, ")


def _judged(name: str, ends: str, before: str = "") -> Finding:
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
    days = (end - datetime.now(UTC)).total_seconds() / 86_400
    if days <= 0:
        return fail(name, f"{before}ended on {end:%Y-%m-%d}: renew it")
    said = f"{before}good until {end:%Y-%m-%d} ({days:.0f} days)"
    return warn(name, f"{said}: renew it") if days < WARN_DAYS else ok(name, said)
