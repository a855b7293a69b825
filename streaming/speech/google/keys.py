"""Credentials of the client package, out of a file's content; imported only by `calls`."""

from collections.abc import Callable
from typing import Any

from google.auth import aws, compute_engine, identity_pool, impersonated_credentials, pluggable
from google.auth.credentials import Credentials
from google.oauth2 import credentials as user_account
from google.oauth2 import service_account

from streaming.speech.google.access import CredentialsFile

_AWS = "urn:ietf:params:aws:token-type:aws4_request"

_Loader = Callable[[dict[str, Any]], Credentials]

# Not the package's own `google.auth.default`: it may ask the network for a project's name.
_LOADERS: dict[str, _Loader] = {
    "service_account": service_account.Credentials.from_service_account_info,
    "authorized_user": user_account.Credentials.from_authorized_user_info,
    "impersonated_service_account": (
        impersonated_credentials.Credentials.from_impersonated_service_account_info
    ),
}
_MACHINE: Callable[..., Credentials] = compute_engine.Credentials


def load_credentials(file: CredentialsFile) -> Credentials:
    """Return credentials that can sign calls; reads keys, but no network.

    Raises:
        Exception: of the package or its cryptography, where a key is not one.
    """
    info = dict(file.info)
    if not info:
        # Named, because asking which it is would call the metadata server, on the event loop.
        return _MACHINE(universe_domain="googleapis.com")
    kind = str(info["type"])
    load = _external_loader(info) if kind == "external_account" else _LOADERS[kind]
    return load(info)


def _external_loader(info: dict[str, Any]) -> _Loader:
    """Return the loader for an identity of another cloud."""
    loader: _Loader = identity_pool.Credentials.from_info
    if info["subject_token_type"] == _AWS:
        loader = aws.Credentials.from_info
    elif "executable" in info["credential_source"]:
        loader = pluggable.Credentials.from_info
    return loader
