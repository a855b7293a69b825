"""How late the event loops of the workers were, by their own metrics; also of those killed."""

import re
from collections import Counter
from collections.abc import Sequence

import anyio
import httpx

from tests.chaos.cluster import Worker

LOOK_EVERY_S = 1.0
_TIMEOUT_S = 2.0
_BOUNDS = (0.05, 0.1, 0.5)
_BUCKET = re.compile(
    r'^chat_event_loop_lag_seconds_bucket\{le="([^"]+)"\} ([0-9.e+]+)', re.MULTILINE
)


class LagWatch:
    """Reads the histogram of each worker every second; a process's last reading counts.

    Args:
        workers: To look at.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._seen: dict[tuple[str, int], dict[float, float]] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            while True:
                for worker in self._workers:
                    await self._look(client, worker)
                await anyio.sleep(LOOK_EVERY_S)

    async def _look(self, client: httpx.AsyncClient, worker: Worker) -> None:
        starts = worker.starts
        try:
            told = (await client.get(f"{worker.url}/metrics")).text
        except httpx.HTTPError:  # it is away
            return
        if worker.starts == starts:
            buckets = {float(le): float(count) for le, count in _BUCKET.findall(told)}
            self._seen[worker.name, starts] = buckets

    def figures(self) -> str:
        """Return how much of the time no timer was later than some bounds."""
        total: Counter[float] = Counter()
        for buckets in self._seen.values():
            total.update(buckets)
        every = total.get(float("inf"), 0)
        if not every:
            return "not seen"
        shares = [
            f"{100 * total[bound] / every:.2f} % within {bound * 1000:g} ms" for bound in BOUNDS
        ]
        return f"{', '.join(shares)} of {every:.0f} looks"


BOUNDS = (0.05, 0.1, 0.5)
