"""The secrets that a process works with: as set, or made once and kept under DATA_DIR."""

from pydantic import SecretStr

from server.auth.kept_secrets import kept_secret
from server.services.faults import StartError
from server.settings import Settings


def secret(settings: Settings, name: str) -> str:
    """Return a secret; where development did not set it, the kept one.

    Raises:
        StartError: the kept one can be neither read nor made.
    """
    configured: SecretStr | None = getattr(settings, name)
    if configured is not None:
        return configured.get_secret_value()
    path = settings.data_dir / name.replace("_", "-")
    try:
        return kept_secret(path).get_secret_value()
    except OSError as error:
        raise StartError(f"{path} cannot be read ({error.strerror}); delete it.") from None


def ring(settings: Settings, name: str, *, former: SecretStr | None) -> list[str]:
    """Return a secret and its former ones, which still prove something; the newest comes first.

    Raises:
        StartError: as `secret`.
    """
    listed = "" if former is None else former.get_secret_value()
    return [secret(settings, name), *(one for one in map(str.strip, listed.split(",")) if one)]
