"""A service that asks flags through the SDK, and what happens to it."""

import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Queue

import anyio
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.event import EventDetails, ProviderEvent

from flags.changes.editor import FlagEditor, Request
from flags.model import Author
from flags.openfeature import ChatstreamFlagProvider
from flags.store.base import FlagStore
from flags.store.file import FileFlagStore
from flags.store.redis import RedisFlagStore

WAIT_S = 10.0
REQUEST = Request(Author("ada", "a test"))

Change = Callable[[FlagEditor], Awaitable[object]]


def change(where: str | Path, *changes: Change) -> None:
    """Change flags in Redis or in a file, as an operator would."""
    anyio.run(partial(_change, where, changes))


def put(key: str, **definition: object) -> Change:
    """Return the change that creates a flag, or replaces it."""
    return lambda editor: editor.put_flag(key, definition, REQUEST)


def percentage(key: str, share: float) -> Change:
    """Return the change of a flag's percentage."""
    return lambda editor: editor.set_percentage(key, share, REQUEST)


@contextmanager
def asking(provider: ChatstreamFlagProvider) -> Iterator[OpenFeatureClient]:
    """Give the SDK's client of a provider, and shut the SDK down at the end."""
    try:
        api.set_provider_and_wait(provider)
        yield api.get_client()
    finally:
        api.shutdown()


def events(client: OpenFeatureClient, *kinds: ProviderEvent) -> "Queue[tuple[str, EventDetails]]":
    """Return where the SDK's events of these kinds arrive from now on."""
    heard: Queue[tuple[str, EventDetails]] = Queue()
    for kind in kinds:
        client.add_handler(kind, partial(_hear, heard, kind))
    return heard


def eventually(holds: Callable[[], object]) -> None:
    """Return when something holds; fail if it does not in a while."""
    pause = threading.Event()
    for _ in range(round(WAIT_S / 0.01)):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it never held")


def our_threads() -> set[threading.Thread]:
    """Return the threads that follow a store, and those that they use."""
    names = ("chatstream-flags", "AnyIO worker thread")
    return {thread for thread in threading.enumerate() if thread.name.startswith(names)}


def descriptors() -> int:
    """Return how many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # no paths are wanted


def _hear(
    heard: "Queue[tuple[str, EventDetails]]", kind: ProviderEvent, details: EventDetails
) -> None:
    heard.put((kind.value, details))


async def _change(where: str | Path, changes: tuple[Change, ...]) -> None:
    store: FlagStore = FileFlagStore(where) if isinstance(where, Path) else RedisFlagStore(where)
    with anyio.fail_after(WAIT_S):
        for make in changes:
            await make(FlagEditor(store))
        await store.close()
