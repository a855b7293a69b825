"""What the stores say: who Redis let write, as it happened, and what is kept at the end."""

import re

import anyio
from anyio.abc import SocketStream

from history.model import TurnStatus
from history.mongo.documents import BEGINNING
from tests.chaos.cluster import DATABASE, Cluster
from tests.chaos.records import LOST, Recorder

_APPENDED = re.compile(rb'lua\] "XADD" "chat:\{(?P<turn>[^}]+)\}:log" "\d+-0" "e" "(?P<epoch>\d+)"')
_LEASED = re.compile(
    rb'lua\] "HSET" "chat:\{(?P<turn>[^}]+)\}:lease"'
    rb' "epoch" "(?P<epoch>\d+)" "worker" "(?P<worker>[^"]+)"'
)
_READ_BYTES = 65_536
_RETRY_S = 0.05


class LeaseWatch:
    """Follows every command that Redis runs, and notes who wrote entries of which epoch of a turn.

    The script that appends writes the entries first and then the lease, with the writer's name. A
    writer may send entries of former epochs again, once Redis has lost them. While Redis is down
    there is nothing to see.
    """

    def __init__(self, port: int, recorder: Recorder) -> None:
        self._port = port
        self._recorder = recorder
        self._last: dict[str, tuple[int, str]] = {}
        self._appended: tuple[bytes, bytes] | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                async with await anyio.connect_tcp("127.0.0.1", self._port) as stream:
                    await stream.send(b"MONITOR\r\n")
                    await self._watch(stream)
            except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
                self._forget()
            await anyio.sleep(_RETRY_S)

    async def _watch(self, stream: SocketStream) -> None:
        rest = b""
        while True:
            *lines, rest = (rest + await stream.receive(_READ_BYTES)).split(b"\r\n")
            for line in lines:
                self._see(line)

    def _see(self, line: bytes) -> None:
        if (found := _APPENDED.search(line)) is not None:
            self._appended = found["turn"], found["epoch"]
        elif (found := _LEASED.search(line)) is not None:
            if self._appended == (found["turn"], found["epoch"]):
                self._note(found)
            self._appended = None
        elif b'"FLUSHALL"' in line:
            self._forget()

    def _forget(self) -> None:
        """Note that Redis knows nothing any more: it fences nobody off until it is told again."""
        self._last.clear()
        self._recorder.add("redis", "lease", name=LOST)

    def _note(self, found: re.Match[bytes]) -> None:
        turn, epoch, worker = found["turn"].decode(), int(found["epoch"]), found["worker"].decode()
        if self._last.get(turn) != (epoch, worker):
            self._last[turn] = epoch, worker
            self._recorder.add("redis", "lease", turn=turn, epoch=epoch, worker=worker)


def record_stored(cluster: Cluster, recorder: Recorder) -> None:
    """Note what is stored: every turn's record, every user's message."""
    with cluster.database() as client:
        database = client[DATABASE]
        # What never got past its beginning shows nothing to anybody.
        for turn in database["turns"].find({"status": {"$ne": BEGINNING}}):
            recorder.add(
                "store",
                "turn",
                turn=str(turn["_id"]),
                name=str(turn["status"]),
                text=str(turn["text"]),
                epoch=int(turn["epoch"]),
                seq=int(turn["last_seq"]),
            )
        for message in database["messages"].find({"role": "user"}):
            recorder.add("store", "message", turn=str(message["turn_id"]), key=str(message["text"]))


def is_any_running(cluster: Cluster) -> bool:
    """Whether some turn has not ended."""
    with cluster.database() as client:
        running = {"status": TurnStatus.RUNNING.value}
        return client[DATABASE]["turns"].find_one(running) is not None
