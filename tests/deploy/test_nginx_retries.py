"""What nginx sends a second worker, after the first one has taken a request and died."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from tests.support.nginx import free_ports, running_nginx

pytestmark = pytest.mark.services
TURNS = "/api/v1/turns"
BODY = b"x" * 200_000


class Dying:
    """A worker that takes each request whole, and closes the connection instead of an answer."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def take(self, stream: SocketStream) -> None:
        """Read one request; note the key that it has."""
        received = b""
        async with stream:
            while len(received.partition(b"\r\n\r\n")[2]) < len(BODY):
                received += await stream.receive()
        head = received.partition(b"\r\n\r\n")[0].decode("latin-1")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
        self.keys.append(fields.get("idempotency-key", ""))


@asynccontextmanager
async def listening(worker: Dying) -> AsyncGenerator[int, None]:
    """Have it take requests until the block ends; give its port."""
    [port] = free_ports(1)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, worker.take)
        yield port
        tasks.cancel_scope.cancel()


async def test_a_start_alone_is_tried_again_and_has_one_key_each_time(tmp_path: Path) -> None:
    starts = [(TURNS, {}), (TURNS, {"Idempotency-Key": ""}), (f"{TURNS}?a=b", {})]
    [first, second] = workers = [Dying(), Dying()]
    async with (
        listening(first) as port,
        listening(second) as other,
        running_nginx(
            tmp_path, upstream=port, options=["--upstream", f"127.0.0.1:{other}"]
        ) as nginx,
        nginx.client() as http,
    ):
        answers = [await http.post(path, content=BODY, headers=each) for path, each in starts]
        made = [list(worker.keys) for worker in workers]
        answers.append(await http.post(TURNS, content=BODY, headers={"Idempotency-Key": "mine"}))
        own = [worker.keys[-1] for worker in workers]
        answers.append(await http.post("/api/v1/speech", content=BODY))

    assert {answer.status_code for answer in answers} == {503}
    assert made[0] == made[1]
    assert len({key for key in made[0] if key}) == len(starts)
    assert own == ["mine", "mine"]
    assert len(first.keys + second.keys) == 2 * (len(starts) + 1) + 1
