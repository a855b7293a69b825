"""Which of several servers has the flags: Sentinels name a primary, a Cluster's nodes share slots.

Every new link asks anew, and one that reaches the wrong server is closed: what moves is found again
by whoever calls next. Nothing is kept open that asks, so a forked process shares nothing here.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import anyio
from redis.asyncio.connection import Connection, SSLConnection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, ReadOnlyError, RedisError

from flags.errors import FlagStoreError

Host = tuple[str, int]

REDIS_PORT = 6379
SENTINEL_PORT = 26379
SLOT = key_slot(b"flags")
"""Of all keys of the flags: what they have in braces is the same."""

_FAULTS = (RedisError, OSError, ValueError, TypeError)
_ELSEWHERE = (ReadOnlyError, MovedError)


@dataclass(frozen=True, slots=True)
class Guide:
    """Servers that know which one has the flags.

    Args:
        hosts: Whom to ask, one after the other.
        question: What to ask.
        named: Reads the answer of a host; None: it does not know.
        link_class: What a link to them is made of.
        options: What it takes beside host and port.
        share_s: Seconds that each has to answer.
    """

    hosts: Sequence[Host]
    question: Sequence[str | int]
    named: Callable[[Any, Host], Host | None]
    link_class: type[Connection]
    options: Mapping[str, Any] = field(repr=False)
    share_s: float

    async def find(self) -> Host:
        """Return the server that has the flags.

        Raises:
            RedisConnectionError: nobody names one.
        """
        reason = "no answer"
        for host in self.hosts:
            with anyio.move_on_after(self.share_s):
                try:
                    found = self.named(await self._answer(host), host)
                except _FAULTS as error:
                    reason = type(error).__name__  # what it says may quote a password
                    continue
                if found is not None:
                    return found
                reason = "they name none"
        raise RedisConnectionError(f"nobody tells which server has the flags: {reason}")

    async def _answer(self, host: Host) -> Any:
        link = self.link_class(host=host[0], port=host[1], **self.options)
        try:
            await link.connect()  # type: ignore[no-untyped-call]  # the driver says no types
            await link.send_command(*self.question)
            return await link.read_response()
        finally:
            with anyio.CancelScope(shield=True), suppress(*_FAULTS):
                await link.disconnect(nowait=True)


class GuidedLink(Connection):
    """A link to the server that a guide names when it connects."""

    def __init__(self, *, guide: Guide, **options: Any) -> None:
        super().__init__(**options)
        self._guide = guide

    async def _connect(self) -> None:
        self.host, self.port = await self._guide.find()
        await super()._connect()  # type: ignore[no-untyped-call]  # the driver says no types

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except _ELSEWHERE as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"the flags are elsewhere by now: {error}") from None


class GuidedTlsLink(GuidedLink, SSLConnection):
    """The same, encrypted."""


def unusable(reason: str) -> FlagStoreError:
    """Return what is said of an address that cannot be used."""
    return FlagStoreError(f"The Redis address cannot be used: {reason}")


def is_of_several(url: str) -> bool:
    """Tell whether an address names several servers."""
    return urlsplit(url).scheme.partition("+")[2] in {"sentinel", "cluster"}


def as_of_one(url: str) -> str:
    """Return the address of several servers as one that the driver can read: who, and how."""
    split = urlsplit(url)
    sign_in = "".join(split.netloc.rpartition("@")[:2])
    _, database = _path(split)
    scheme = split.scheme.partition("+")[0]
    query = "&".join(
        part for part in split.query.split("&") if part and not part.startswith("sentinel_")
    )
    return f"{scheme}://{sign_in}host/{database}?{query}"


def guide_of(url: str, links: Mapping[str, Any], *, timeout_s: float) -> Guide:
    """Return who knows where the flags of an address are.

    Args:
        url: `redis+sentinel://host,host/<service>/<database>`, with `sentinel_username` and
            `sentinel_password` in the query where they ask for that, or
            `redis+cluster://host,host`; `rediss` is encrypted.
        links: What a link to the server with the flags takes beside host and port.
        timeout_s: For a whole call, of which finding the server is a part.

    Raises:
        FlagStoreError: it names no service, or a database that cannot be; it is not quoted.
        ValueError: it cannot be read.
    """
    split = urlsplit(url)
    is_sentinel = split.scheme.endswith("+sentinel")
    service, database = _path(split)
    hosts = _hosts(split, SENTINEL_PORT if is_sentinel else REDIS_PORT)
    link_class = SSLConnection if split.scheme.startswith("rediss") else Connection
    share_s = timeout_s / (len(hosts) + 1)
    if not is_sentinel:
        if database.strip("0"):
            raise unusable("a Cluster has database 0 only")
        return Guide(hosts, ("CLUSTER", "SLOTS"), _owner, link_class, links, share_s)
    if not service:
        raise unusable("it must name the service: redis+sentinel://host:26379/<service>/<db>")
    question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
    signing_in = {"username", "password", "db"}
    options = {name: value for name, value in links.items() if name not in signing_in}
    query = parse_qs(split.query)
    for name in ("username", "password"):
        if f"sentinel_{name}" in query:
            options[name] = query[f"sentinel_{name}"][0]
    return Guide(hosts, question, _primary, link_class, options, share_s)


def _path(split: SplitResult) -> tuple[str, str]:
    first, _, rest = split.path.strip("/").partition("/")
    return (first, rest) if split.scheme.endswith("+sentinel") else ("", first)


def _hosts(split: SplitResult, default_port: int) -> Sequence[Host]:
    hosts: list[Host] = []
    for each in split.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{each}")
        if not one.hostname:
            raise unusable("a host is missing")
        hosts.append((one.hostname, default_port if one.port is None else one.port))
    return hosts


def _primary(answer: Any, _asked: Host) -> Host | None:
    return None if answer is None else (answer[0].decode(), int(answer[1]))


def _owner(answer: Any, asked: Host) -> Host | None:
    for first, last, (name, port, *_), *_ in answer:
        if first <= SLOT <= last:
            # A node that does not know its own name means the one that it was asked by.
            host = name.decode() if name else ""
            return host if host and host != "?" else asked[0], int(port)
    return None
