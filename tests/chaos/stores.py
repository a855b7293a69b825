"""What the stores say: who Redis let write, as it happened, and what is kept at the end."""

import re

import anyio
from anyio.abc import SocketStream

from history.model import TurnStatus
from history.mongo.documents import BEGINNING
from tests.chaos.cluster import DATABASE, Cluster
from tests.chaos.records import Recorder

_LEASED = re.compile(
    rb'lua\] "HSET" "chat:\{(?P<turn>[^}]+)\}:lease"'
    rb' "epoch" "(?P<epoch>\d+)" "worker" "(?P<worker>[^"]+)"'
)
_READ_BYTES = 65_536
_RETRY_S = 0.05


class LeaseWatch:
    """Follows every command that Redis runs, and notes who holds which epoch of a turn.

    Scripts write the lease only for whom they let write: a line here is a grant, or an append that
    was taken. While Redis is down there is nothing to see.
    """

    def __init__(self, port: int, recorder: Recorder) -> None:
        self._port = port
        self._recorder = recorder
        self._known: set[tuple[str, int, str]] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                async with await anyio.connect_tcp("127.0.0.1", self._port) as stream:
                    await stream.send(b"MONITOR\r\n")
                    await self._watch(stream)
            except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
                pass
            await anyio.sleep(_RETRY_S)

    async def _watch(self, stream: SocketStream) -> None:
        rest = b""
        while True:
            *lines, rest = (rest + await stream.receive(_READ_BYTES)).split(b"\r\n")
            for line in lines:
                if (found := _LEASED.search(line)) is not None:
                    self._note(found)

    def _note(self, found: re.Match[bytes]) -> None:
        turn, epoch, worker = found["turn"].decode(), int(found["epoch"]), found["worker"].decode()
        if (turn, epoch, worker) not in self._known:
            self._known.add((turn, epoch, worker))
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
