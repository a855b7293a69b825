"""Where Google is asked, and with which credentials: found and checked without the network.

Google's own search for default credentials asks the metadata server of a virtual machine whether
there is one, up to three times for 3 s. This one looks at what the machine says it is instead, so
that a start never waits. `GOOGLE_APPLICATION_CREDENTIALS` is read by the settings, as a path.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEFAULT_HOST = "texttospeech.googleapis.com"

_MAX_FILE_BYTES = 1 << 20
_TLS_PORT, _PLAIN_PORT = 443, 80
_HOST = re.compile(r"^[A-Za-z0-9._-]+$|^[0-9A-Fa-f:.]+$")

# Written by `gcloud auth application-default login`, below the home directory.
_GCLOUD_FILE = Path(".config/gcloud/application_default_credentials.json")

# "Google Compute Engine" on its machines, also inside their containers and on Cloud Run.
_PRODUCT_NAME_FILE = Path("/sys/class/dmi/id/product_name")

_NEEDED: dict[str, tuple[str, ...]] = {
    "service_account": ("client_email", "private_key", "token_uri"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "external_account": ("audience", "subject_token_type", "token_url", "credential_source"),
    "impersonated_service_account": ("source_credentials", "service_account_impersonation_url"),
}


class AccessError(ValueError):
    """Credentials or endpoint cannot be used; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Host and port; `is_plaintext` means no TLS and no credentials."""

    address: str
    is_plaintext: bool = False


@dataclass(frozen=True, slots=True)
class CredentialsFile:
    """The content of a credentials file; empty for those of the machine we run on."""

    info: Mapping[str, Any]


def credentials_fault(path: Path | None, endpoint: str | None) -> str | None:
    """Return what is wrong with the credentials, in one line; None where nothing is.

    Reads at most a file: whether Google accepts them only a call can show. A plaintext endpoint
    needs none.

    Args:
        path: Credentials file; None looks for those of gcloud, then of the machine.
        endpoint: As in `parse_endpoint`.
    """
    try:
        if not parse_endpoint(endpoint).is_plaintext:
            read_credentials(path)
    except AccessError as exc:
        return str(exc)
    return None


def parse_endpoint(endpoint: str | None) -> Endpoint:
    """Return where to connect.

    Args:
        endpoint: `https://host[:port]` or `host[:port]` with TLS, `http://host[:port]` without;
            None is Google's own.

    Raises:
        AccessError: it is none of these.
    """
    if not endpoint:
        return Endpoint(f"{DEFAULT_HOST}:{_TLS_PORT}")
    fault = AccessError(f"The Google endpoint is not https://host[:port]: {endpoint[:100]!r}.")
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        port = parts.port
    except ValueError:
        raise fault from None
    host = parts.hostname or ""
    rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
    if parts.scheme not in {"http", "https"} or not _HOST.match(host) or any(rest):
        raise fault
    is_plaintext = parts.scheme == "http"
    shown = f"[{host}]" if ":" in host else host
    return Endpoint(f"{shown}:{port or (_PLAIN_PORT if is_plaintext else _TLS_PORT)}", is_plaintext)


def read_credentials(path: Path | None) -> CredentialsFile:
    """Return the credentials to use.

    Raises:
        AccessError: there are none, or the file cannot be used.
    """
    if path is not None:
        return CredentialsFile(_read_file(path))
    with suppress(RuntimeError):  # a user of no name has no home, such as in a container
        gcloud = Path.home() / _GCLOUD_FILE
        if gcloud.is_file():
            return CredentialsFile(_read_file(gcloud))
    if _is_on_google_cloud():
        return CredentialsFile({})
    raise AccessError("There are no Google credentials: no file is set, and none is gcloud's.")


def _read_file(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise AccessError(
            f"The Google credentials file {path} cannot be read: {exc.strerror}."
        ) from None
    if len(content) > _MAX_FILE_BYTES:
        raise AccessError(f"The Google credentials file {path} is too large to be one.")
    try:
        info = json.loads(content)
    except (ValueError, RecursionError):
        raise AccessError(f"The Google credentials file {path} is not JSON.") from None
    _check(info, path)
    checked: Mapping[str, Any] = info
    return checked


def _check(info: object, path: Path) -> None:
    kind = info.get("type") if isinstance(info, dict) else None
    if not isinstance(info, dict) or not isinstance(kind, str) or kind not in _NEEDED:
        raise AccessError(
            f"The file {path} holds no Google credentials: its `type` is none of "
            f"{', '.join(_NEEDED)}."
        )
    missing = [name for name in _NEEDED[kind] if not info.get(name)]
    if missing:
        raise AccessError(f"The Google credentials file {path} lacks {', '.join(missing)}.")
    if kind == "service_account" and "-----BEGIN" not in str(info["private_key"]):
        raise AccessError(f"The private key in the Google credentials file {path} is not PEM.")


def _is_on_google_cloud() -> bool:
    try:
        return _PRODUCT_NAME_FILE.read_text(encoding="ascii", errors="replace").startswith("Google")
    except OSError:
        return False
