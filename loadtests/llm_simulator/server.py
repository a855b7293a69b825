"""The simulator's server: routes, sockets, signals."""

import asyncio
import contextlib
import gc
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.llm_simulator import chunks, faults
from loadtests.llm_simulator.completions import Completions, Reply, document
from loadtests.llm_simulator.connection import Connection
from loadtests.llm_simulator.moderations import Moderations
from loadtests.llm_simulator.options import Options
from loadtests.llm_simulator.requests import HttpRequest
from loadtests.llm_simulator.stats import Record, Stats
from loadtests.llm_simulator.wheel import Wheel

_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one. The port is written to `port_file`, if given."""

    host: str
    port: int
    port_file: Path | None = None


class Router:
    """Finds the reply to a request."""

    def __init__(self, defaults: Options) -> None:
        self._stats = Stats()
        self._completions = Completions(defaults, self._stats)
        self._moderations = Moderations(defaults, self._stats)
        self._documents = {"/v1/models": faults.models(), "/healthz": b'{"status":"ok"}'}

    def __call__(self, request: HttpRequest) -> tuple[Reply, Record | None]:
        """Return the reply, and the record of a completion."""
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                return self._completions.reply(request.body)
            case "POST", "/v1/moderations":
                return self._moderations.reply(request.body), None
            case "GET", path if path in self._documents:
                return document(self._documents[path]), None
            case "GET", "/_stats":
                return document(msgspec.json.encode(self._stats.view())), None
            case "POST", "/_reset":
                self._stats.reset()
                return document(b"{}"), None
            case _:
                body = chunks.error(
                    f"No {request.method} {request.path}.", "invalid_request_error", "not_found"
                )
                return document(body, 404), None


async def serve(address: Address, defaults: Options) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        OSError: The address cannot be had.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    route, wheel = Router(defaults), Wheel(loop)
    server = await loop.create_server(
        lambda: Connection(route, wheel, loop.time),
        sock=_listen(address),
        backlog=_BACKLOG,
    )
    port: int = server.sockets[0].getsockname()[1]
    _announce(address, port, defaults)
    # What exists now lives as long as the process: keep the collector from walking it.
    gc.collect()
    gc.freeze()
    try:
        await stopped.wait()
    finally:
        server.close()
        _forget(address)


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setblocking(False)  # uvloop takes it as it is and would wait in accept()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError:
        listener.close()
        raise
    return listener


def _announce(address: Address, port: int, defaults: Options) -> None:
    if address.port_file is not None:
        # Renamed into place, so that whoever sees the file sees all of it.
        draft = address.port_file.with_name(f"{address.port_file.name}.new")
        draft.write_text(f"{port}\n", encoding="ascii")
        draft.replace(address.port_file)
    host = f"[{address.host}]" if ":" in address.host else address.host
    print(
        f"simulator on http://{host}:{port}/v1 ({defaults.tokens} tokens at {defaults.rate:g}/s, "
        f"first after {defaults.ttft_s:g} s, seed {defaults.seed})",
        flush=True,
    )


def _forget(address: Address) -> None:
    if address.port_file is not None:
        with contextlib.suppress(OSError):
            address.port_file.unlink()
