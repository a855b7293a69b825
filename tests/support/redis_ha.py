"""Several real Redis servers as one for tests: watched over by a Sentinel, or a Cluster."""

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import MovedError, RedisError

from tests.support.redis import RedisServer, running_redis

SERVICE = "main"
SLOTS = 16_384
AT_ONCE = ("--repl-diskless-sync-delay", "0")
"""A replica need not wait for others that might want the same copy."""

_START_S = 20.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Watched:
    """A primary, its replica, and the Sentinel that makes the one the other when it must.

    Args:
        url: Of the Sentinel, behind the address of one that is not there.
    """

    primary: RedisServer
    replica: RedisServer
    url: str
    sentinel_port: int

    def wait_for_failover(self) -> None:
        """Wait until the Sentinel names the former replica."""
        with Redis(port=self.sentinel_port) as sentinel:
            _wait_until(
                lambda: (
                    _say(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1]
                    == b"%d" % self.replica.port
                )
            )

    def wait_until_followed(self) -> None:
        """Wait until the former primary has all that the former replica has."""
        with self.primary.client() as client:
            _wait_until(lambda: client.info("replication")["role"] == "slave")
            _wait_for_link(client)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Primaries that share the slots, and a replica of the first where one was wanted."""

    nodes: Sequence[RedisServer]
    replica: RedisServer | None
    url: str

    def key_of(self, node: RedisServer) -> str:
        """Return a key that a node has."""
        with node.client() as client:
            return next(key for n in range(1000) if _has(client, key := f"key:{n}"))

    def move(self, key: str, target: RedisServer) -> None:
        """Give the slot of a key, with all that is in it, to a node that may have it already."""
        if _owns(target, key):
            return
        with self.moving(key, target):
            return

    @contextmanager
    def moving(self, key: str, target: RedisServer) -> Iterator[None]:
        """Have the slot of a key between two nodes, and at the end with the second."""
        source = next(node for node in self.nodes if _owns(node, key))
        with source.client() as old, target.client() as new:
            slot = int(_say(new, "CLUSTER", "KEYSLOT", key))
            old_id, new_id = (_say(each, "CLUSTER", "MYID") for each in (old, new))
            _say(new, "CLUSTER", "SETSLOT", slot, "IMPORTING", old_id)
            _say(old, "CLUSTER", "SETSLOT", slot, "MIGRATING", new_id)
            yield
            while keys := _say(old, "CLUSTER", "GETKEYSINSLOT", slot, 100):
                _say(old, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            for each in (new, old):
                _say(each, "CLUSTER", "SETSLOT", slot, "NODE", new_id)


@contextmanager
def running_sentinel(folder: Path, *, password: str | None = None) -> Iterator[Watched]:
    """Run a primary, a replica and a Sentinel that needs nobody else's vote."""
    with ExitStack() as stack:
        sign_in = () if password is None else ("--masterauth", password)
        primary = stack.enter_context(
            running_redis(_made(folder / "primary"), *AT_ONCE, *sign_in, password=password)
        )
        follow = ("--replicaof", "127.0.0.1", str(primary.port), *AT_ONCE)
        replica = stack.enter_context(
            running_redis(_made(folder / "replica"), *follow, *sign_in, password=password)
        )
        with replica.client() as client:
            _wait_for_link(client)
        port = stack.enter_context(_sentinel(_made(folder / "sentinel"), primary, password))
        hosts = f"127.0.0.1:{_free_port()},127.0.0.1:{port}"
        user = "" if password is None else f":{password}@"
        yield Watched(primary, replica, f"redis+sentinel://{user}{hosts}/{SERVICE}/0", port)


@contextmanager
def running_cluster(
    folder: Path, *, size: int = 3, with_replica: bool = False
) -> Iterator[Cluster]:
    """Run nodes that share the slots; each serves what it has when another is lost."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(_node(_made(folder / f"node-{n}")))
            for n in range(size + with_replica)
        ]
        nodes, replica = servers[:size], servers[size] if with_replica else None
        with ExitStack() as clients:
            asked = [clients.enter_context(each.client()) for each in servers]
            _join(asked, size)
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in nodes)
        yield Cluster(nodes, replica, f"redis+cluster://{hosts}")


def _node(folder: Path) -> AbstractContextManager[RedisServer]:
    options = ("--cluster-enabled", "yes", "--cluster-port", str(_free_port()))
    limits = ("--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no")
    return running_redis(folder, *options, *limits, *AT_ONCE)


def _join(asked: Sequence[Redis], size: int) -> None:
    for n, client in enumerate(asked):
        _say(client, "CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        if n < size:
            first, last = n * SLOTS // size, (n + 1) * SLOTS // size - 1
            _say(client, "CLUSTER", "ADDSLOTSRANGE", first, last)
    port, bus = (str(asked[0].config_get(name)[name]) for name in ("port", "cluster-port"))
    for client in asked[1:]:
        _say(client, "CLUSTER", "MEET", "127.0.0.1", port, bus)
    _wait_until(lambda: all(_knows(client, len(asked)) for client in asked))
    first_id = _say(asked[0], "CLUSTER", "MYID")
    for client in asked[size:]:
        _say(client, "CLUSTER", "REPLICATE", first_id)
        _wait_for_link(client)


def _knows(client: Redis, size: int) -> bool:
    said = bytes(_say(client, "CLUSTER", "INFO"))
    wanted = ("cluster_state:ok", f"cluster_known_nodes:{size}", f"cluster_slots_ok:{SLOTS}")
    return all(each.encode() in said for each in wanted)


def _wait_for_link(replica: Redis) -> None:
    _wait_until(lambda: replica.info("replication")["master_link_status"] == "up")


@contextmanager
def _sentinel(folder: Path, primary: RedisServer, password: str | None) -> Iterator[int]:
    port = _free_port()
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"dir {folder}",
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1",
        f"sentinel down-after-milliseconds {SERVICE} 400",
        f"sentinel failover-timeout {SERVICE} 2000",
    ]
    if password is not None:
        lines += [f'sentinel auth-pass {SERVICE} "{password}"', f'requirepass "{password}"']
    settings = folder / "sentinel.conf"
    settings.write_text("\n".join(lines))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            ["redis-server", str(settings), "--sentinel"], stdout=output, stderr=output
        )
    try:
        with Redis(port=port, password=password, decode_responses=True) as client:
            _wait_until(lambda: len(_say(client, "SENTINEL", "REPLICAS", SERVICE)) == 1)
        yield port
    finally:
        process.kill()
        process.wait(timeout=10)


def _wait_until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(_START_S / _LOOK_S)):
        try:
            if holds():
                return
        except RedisError:
            pass  # not up yet, or loading
        pause.wait(_LOOK_S)
    raise TimeoutError("the servers did not come to what was waited for")


def _say(client: Redis, *command: str | int | bytes) -> Any:
    answer: Any = client.execute_command(*command)  # type: ignore[no-untyped-call]  # the driver says no types
    return answer


def _owns(node: RedisServer, key: str) -> bool:
    with node.client() as client:
        return _has(client, key)


def _has(client: Redis, key: str) -> bool:
    try:
        client.exists(key)
    except MovedError:
        return False
    return True


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
