"""Guests who chat on several workers while a rollout goes on, and fail in one arm or in both."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import anyio
import httpx

from flags.bucketing import BUCKETS, bucket, step_of
from server.auth.cookies import GUEST
from server.auth.guests import Guests

LANES = 4
"""Requests that are on their way at once."""


@dataclass(frozen=True, slots=True)
class User:
    """A guest with the proof of it, and the bucket of `streaming` that it falls into."""

    cookie: str
    bucket: int

    def is_in(self, percentage: float) -> bool:
        """Say whether a percentage includes the guest."""
        return self.bucket < step_of(percentage)


def make_users(count: int, secret: str) -> Sequence[User]:
    """Return guests evenly over all buckets, so that every stage has its exact share of them."""
    guests, width = Guests(secret), BUCKETS / count
    found: dict[int, User] = {}
    while len(found) < count:
        owner, cookie = guests.make()
        place = bucket("streaming", "streaming", owner.owner_id)
        found.setdefault(int(place / width), User(cookie, place))
    return list(found.values())


@dataclass
class Traffic:
    """Has guests start turns; nobody reads them, they are written all the same.

    In each epoch every guest comes once, in random order, so that both arms are seen in their
    share; then those of the streaming arm come more often, for the evidence is about them.

    Attributes:
        percentage: Of the rollout now: who watches it tells.
        is_failing: Says of a turn, by whether it streams and a random number, if it is to fail.
    """

    ports: Sequence[int]
    users: Sequence[User]
    percentage: float
    rate: float
    is_failing: Callable[[bool, float], bool] = lambda _streams, _chance: False
    started: Counter[str] = field(default_factory=Counter)
    _queue: list[User] = field(default_factory=list)
    _dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311  # seeded

    def moved(self, percentage: float) -> None:
        """Note another percentage: everybody comes once more."""
        self.percentage = percentage
        self._queue = list(self.users)
        self._dice.shuffle(self._queue)

    async def run(self) -> None:
        """Come and go until cancelled."""
        self.moved(self.percentage)
        async with httpx.AsyncClient(timeout=10) as http, anyio.create_task_group() as tasks:
            for lane in range(LANES):
                tasks.start_soon(self._lane, http, lane)

    async def _lane(self, http: httpx.AsyncClient, lane: int) -> None:
        due = anyio.current_time()
        while True:
            due = max(due + LANES / self.rate, anyio.current_time() - 1)
            await anyio.sleep_until(due)
            lane += 1
            await self._start(http, self.ports[lane % len(self.ports)])

    async def _start(self, http: httpx.AsyncClient, port: int) -> None:
        user = self._queue.pop() if self._queue else self._next()
        is_failing = self.is_failing(user.is_in(self.percentage), self._dice.random())
        body = {"message": "Hello", "chatbot_id": "broken" if is_failing else "whole"}
        url = f"http://127.0.0.1:{port}/api/v1/turns"
        try:
            answer = await http.post(
                url, json=body, headers={"Cookie": f"{GUEST.base_name}={user.cookie}"}
            )
        except httpx.HTTPError as error:
            self.started[type(error).__name__] += 1
            return
        self.started[str(answer.status_code)] += 1

    def _next(self) -> User:
        """Return somebody: of the streaming arm in three of four times."""
        user = self._dice.choice(self.users)
        if self._dice.random() < 0.25:
            return user
        inside = [each for each in self.users if each.is_in(self.percentage)]
        return self._dice.choice(inside) if inside else user
