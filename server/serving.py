"""One process, one event loop: bind, open, serve, drain, close.

Divergences from running uvicorn as it comes, each with its reason:

1. We bind the socket ourselves: a port in use is one clear line, before anything is opened. It
   listens only once all is open: callers of a worker that starts are refused at once, not kept.
2. A signal starts our drain, not uvicorn's: the listener stays open meanwhile, so that readiness
   can say 503 and readers get `bye`; a second signal ends at once.
3. Whoever was let in is answered. uvicorn resets callers whom the kernel has taken and it has not,
   and closes idle connections on which a proxy may be sending its next request.

How single connections differ from uvicorn's is in `server.protocol`.
"""

import asyncio
import resource
import socket
import sys
from contextlib import suppress
from functools import partial
from types import FrameType

import anyio
import structlog
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from accounts.errors import AccountsUnavailableError
from resilience.supervised import supervised
from server.app import create_app
from server.drain import drain
from server.leaving import SEE_OFF_EVERY_S, see_off_leavers
from server.limits.addresses import with_mapped
from server.planning import specify_again
from server.protocol import is_new, protocol_of
from server.services import Services, StartError, open_services, settle_garbage_collector
from server.settings import Settings
from server.version import VERSION

log = structlog.get_logger(__name__)

BACKLOG = 2048
SPARE_DESCRIPTORS = 512
"""For files, the stores' connections and answers that are no streams."""
UNHEARD_GRACE_S = 10.0
"""Longer than a write may wait: who takes nothing is cut off, and told of, as slow."""
CONNECTIONS_GRACE_S = 5
"""Seconds that open connections get after the drain, before they are cut."""
IDLE_GRACE_S = 3.0
"""Seconds that a proxy gets to close idle ones: deploy/nginx does after 1 s."""
NEWCOMERS_GRACE_S = 0.25
"""Seconds that a caller whom nobody stands before gets to send what it has come for."""
_LOOK_EVERY_S = 0.02


def bind(settings: Settings) -> socket.socket:
    """Return the socket: its address is ours, and nobody is let in yet.

    Raises:
        StartError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "linux":
        # A reader that is gone without a word acknowledges nothing, but no write waits for that
        # where little is said. Accepted sockets inherit it.
        unheard_ms = round(1000 * (settings.send_timeout_s + UNHEARD_GRACE_S))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unheard_ms)
    try:
        sock.bind((settings.host, settings.port))
    except OSError as error:
        sock.close()
        raise _unusable(settings, error) from None
    sock.setblocking(False)
    return sock


def _listen(settings: Settings, sock: socket.socket) -> None:
    """Let callers in: whoever came before was refused, and has gone to another worker."""
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        raise _unusable(settings, error) from None


def _unusable(settings: Settings, error: OSError) -> StartError:
    return StartError(
        f"Cannot listen on {settings.host} port {settings.port} ({error.strerror}); stop what"
        " uses it, or set PORT to another one."
    )


def raise_descriptor_limit(settings: Settings) -> None:
    """Allow as many sockets as readers and turns may need: a shell's usual limit is 1,024."""
    wanted = settings.max_readers + 2 * settings.max_live_turns + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if hard != resource.RLIM_INFINITY and hard < wanted:
        log.warning("server.few_descriptors", allowed=hard, wanted=wanted)


async def serve(settings: Settings, sock: socket.socket) -> None:
    """Serve until a signal has come and everything is drained.

    Raises:
        StartError: a service cannot be opened.
    """
    raise_descriptor_limit(settings)
    async with open_services(settings, specify_again) as services:
        server = _Server(settings, create_app(services))
        settle_garbage_collector()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_drain_on_signal, server, services)
            see_off = partial(see_off_leavers, services)
            tasks.start_soon(
                partial(supervised, "see_off", see_off, every_s=SEE_OFF_EVERY_S, log=log)
            )
            _listen(settings, sock)
            _announce(settings, services, sock)
            await _warn_if_closed(services)
            await server.serve(sockets=[sock])
            tasks.cancel_scope.cancel()


class _Server(uvicorn.Server):
    """uvicorn's server; the first signal drains, the second ends at once."""

    def __init__(self, settings: Settings, app: Starlette) -> None:
        self.signalled = asyncio.Event()
        self._http = protocol_of(settings.request_timeout_s, is_leaving=self.signalled.is_set)
        super().__init__(_config(settings, app, self._http))
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's
        if self.signalled.is_set():
            self.should_exit = self.force_exit = True
        self._loop.call_soon_threadsafe(self.signalled.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse who comes, answer who has come, then end what is left as uvicorn does."""
        for sock, listener in zip(sockets or [], self.servers, strict=True):
            # Invariant: no await in here. Who comes in between would be reset.
            waiting = _accepted(sock)
            listener.close()
            for each in waiting:
                await self._loop.connect_accepted_socket(self._protocol, each)
        await self._until_quiet()
        await super().shutdown(sockets)

    async def _until_quiet(self) -> None:
        """Wait while a request may come in on a connection: nothing says that we would close it."""
        is_behind_proxy = self.config.proxy_headers
        until = self._loop.time() + (IDLE_GRACE_S if is_behind_proxy else NEWCOMERS_GRACE_S)
        while not self.force_exit and self._loop.time() < until:
            if not any(is_behind_proxy or is_new(each) for each in self.server_state.connections):
                return
            await anyio.sleep(_LOOK_EVERY_S)

    def _protocol(self) -> asyncio.Protocol:
        return self._http(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _accepted(sock: socket.socket) -> list[socket.socket]:
    """Return who has been let in by the kernel alone."""
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(sock.accept()[0])
    for each in found:
        each.setblocking(False)
    return found


def _config(settings: Settings, app: Starlette, http: type[HttpToolsProtocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=with_mapped(settings.trusted_proxies),
        timeout_graceful_shutdown=CONNECTIONS_GRACE_S,
    )


async def _drain_on_signal(server: _Server, services: Services) -> None:
    await server.signalled.wait()
    await drain(services)
    server.should_exit = True


def _announce(settings: Settings, services: Services, sock: socket.socket) -> None:
    host, port = sock.getsockname()[:2]
    shown = "localhost" if host in {"127.0.0.1", "0.0.0.0", "::", "::1"} else host  # noqa: S104  # shown
    log.info(
        "server.started",
        url=f"http://{shown}:{port}",
        version=VERSION,
        model=services.sources.default_model,
        history=services.history_kind,
        speech=services.studio.maker.engine,
        flags=services.flags.store.kind,
        worker_id=services.worker_id,
        streaming=f"{100 * services.flags.figures().streaming_share:g} %",
        data_dir=str(settings.data_dir),
    )
    if settings.app_env == "production" and not settings.allowed_hosts:
        log.warning("server.any_host", hint="set ALLOWED_HOSTS to the names you are called by")
    if settings.admin_token is None:
        log.info("server.admin_token_kept", path=str(settings.data_dir / "admin-token"))


async def _warn_if_closed(services: Services) -> None:
    """Tell operators of a service that nobody can use."""
    settings = services.settings
    is_open = settings.guests_allowed or settings.allow_registration
    if is_open or services.sign_in_provider is not None:
        return
    with suppress(AccountsUnavailableError):
        if not (await services.accounts.users.list(limit=1)).items:
            log.warning(
                "server.nobody_can_sign_in",
                hint="make the first account: python -m server create-admin EMAIL",
            )
