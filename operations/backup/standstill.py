"""That no worker runs while what is stored is replaced."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import anyio

from operations.backup.redis import running_workers
from operations.findings import OperationError
from server.settings import Settings


@contextmanager
def standstill(settings: Settings) -> Iterator[None]:
    """Hold DATA_DIR for the block as a worker holds it, so that none of this folder starts.

    Workers that share a Redis are asked for there; that none starts later nobody can promise.

    Raises:
        OperationError: one runs.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(settings.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperationError(
                f"{settings.data_dir} is in use: stop the server first, or wait for another"
                " restore."
            ) from None
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
            if running := anyio.run(partial(running_workers, url)):
                raise OperationError(
                    f"workers run that share REDIS_URL: {', '.join(sorted(running)[:3])};"
                    f" stop every one first ({len(running)})."
                )
        yield
    finally:
        os.close(descriptor)
