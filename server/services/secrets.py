"""The secrets that a process works with: as set, or made once and kept under DATA_DIR."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from server.auth.kept_secrets import former_secrets, kept_secret
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
    path = kept_at(settings, name)
    with _readable(path):
        return kept_secret(path).get_secret_value()


def ring(settings: Settings, name: str, *, former: SecretStr | None) -> list[str]:
    """Return a secret and its former ones, which still prove something; the newest comes first.

    Of a kept secret, the former ones are those that `rotate-keys` kept, too.

    Raises:
        StartError: as `secret`.
    """
    listed = "" if former is None else former.get_secret_value()
    olds = [one for one in map(str.strip, listed.split(",")) if one]
    newest = secret(settings, name)  # first: whoever rotates writes the former ones first
    if getattr(settings, name) is None:
        path = kept_at(settings, name)
        with _readable(path.with_name(f"{path.name}.previous")):
            olds += former_secrets(path)
    return [newest, *olds]


def kept_at(settings: Settings, name: str) -> Path:
    """Return where a secret is kept that was not set."""
    return settings.data_dir / name.replace("_", "-")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartError(f"{path} cannot be read ({error.strerror}); delete it.") from None
