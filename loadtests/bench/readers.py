"""Guests on bare sockets: they start turns and read them, over as many connections as it takes.

They judge what they read: entries are numbered without a gap, and a reset is the only way out.
"""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

import msgspec

from loadtests.bench.exchange import Answer, Exchange, connect, fetch, get, post

TURNS = "/api/v1/turns"

_TERMINAL = frozenset({b"turn.completed", b"turn.failed", b"turn.cancelled", b"turn.interrupted"})
_OK, _NO_CONTENT = 200, 204
_KEPT_FAULTS = 5

Close = Literal["end", "bye", "cut", "refused", "error"]


class _Told(msgspec.Struct):
    text: str = ""


class _Started(msgspec.Struct):
    turn_id: str


class _State(msgspec.Struct):
    status: str
    text: str


_told = msgspec.json.Decoder(_Told)


@dataclass(frozen=True, slots=True)
class Guest:
    """A caller; its cookie is good on every worker."""

    cookie: str

    async def ask(self, port: int, message: str, key: str) -> Answer | None:
        """Ask for a turn; None where nobody listens, status 0 where the connection broke."""
        headers = {"cookie": self.cookie, "idempotency-key": key}
        body = msgspec.json.encode({"message": message})
        return await fetch(port, post(TURNS, headers, body))

    async def state(self, port: int, turn_id: str) -> tuple[str, str]:
        """Return a turn's status and text as a worker knows them.

        Raises:
            OSError: It does not answer as it should.
        """
        answer = await fetch(port, get(f"{TURNS}/{turn_id}", {"cookie": self.cookie}))
        if answer is None or answer.status != _OK:
            raise OSError(f"the state of {turn_id} is not told: {answer}")
        state = msgspec.json.decode(answer.body, type=_State)
        return state.status, state.text


async def new_guest(port: int) -> Guest:
    """Become somebody.

    Raises:
        OSError: The worker does not say who.
    """
    cookies: list[bytes] = []

    class Headers(Exchange):
        def on_header(self, name: bytes, value: bytes) -> None:
            if name.lower() == b"set-cookie":
                cookies.append(value.partition(b";")[0])

    exchange = Headers(get("/api/v1/conversations", {}), lambda _: None)
    if await connect(port, exchange):
        await exchange.ended
    if not cookies:
        raise OSError(f"port {port} made no guest: status {exchange.status}")
    return Guest(cookies[0].decode("ascii"))


def turn_of(answer: Answer) -> str:
    """Return the turn that a request has started."""
    return msgspec.json.decode(answer.body, type=_Started).turn_id


@dataclass(eq=False, slots=True)
class Reader:
    """One reader of one turn.

    Attributes:
        text: What it shows: the last reset and the deltas after it.
        deltas: How many it got.
        resets: How many it got.
        first_after_s: Seconds from connecting to the first event beyond the cursor, each time that
            it connected; where that took several attempts, from the first of them.
        longest_pause_s: The longest time between two events of the log.
        end: Name of the terminal event, empty before it.
        faults: What broke a promise, in words; the first few.
    """

    guest: Guest
    turn_id: str
    text: str = ""
    deltas: int = 0
    resets: int = 0
    first_after_s: list[float] = field(default_factory=list)
    longest_pause_s: float = 0.0
    end: str = ""
    faults: list[str] = field(default_factory=list)
    _cursor: str = ""
    _seq: int = 0
    _asked_at: float = 0.0
    _is_waiting: bool = False
    _last_at: float = 0.0
    _is_left: bool = False
    _rest: bytes = b""
    _exchange: Exchange | None = None

    async def read(self, port: int) -> Close:
        """Read on from the cursor until the connection ends; say how it did."""
        headers = {"cookie": self.guest.cookie, "accept": "text/event-stream"}
        if self._cursor:
            headers["last-event-id"] = self._cursor
        request = get(f"{TURNS}/{self.turn_id}/events", headers)
        self._exchange = exchange = Exchange(request, self._take_bytes)
        self._rest, self._is_left = b"", False
        if not self._is_waiting:  # else an attempt before this one brought nothing
            self._is_waiting, self._asked_at = True, perf_counter()
        if not await connect(port, exchange):
            return "refused"
        try:
            await exchange.ended
        finally:
            exchange.cut()
        return self._closed(exchange)

    def cut(self) -> None:
        """Drop the connection, as a network would."""
        if self._exchange is not None:
            self._exchange.cut()

    async def read_all(self, ports: list[int], *, place: int, pause_s: float) -> list[Close]:
        """Read to the end of the turn: on one worker after another, begun anew wherever one ends.

        Returns how each connection ended.
        """
        closes: list[Close] = []
        while not self.end:
            closes.append(await self.read(ports[place]))
            place = (place + 1) % len(ports)
            if not self.end:
                await asyncio.sleep(pause_s)
        return closes

    def _closed(self, exchange: Exchange) -> Close:
        if self.end:
            return "end"
        if self._is_left:
            return "bye"
        if exchange.status in {0, _OK}:
            return "cut"
        self._fault(f"attaching was answered {exchange.status}")
        if (
            exchange.status == _NO_CONTENT
        ):  # the end came before: a promise is broken, but it is one
            self.end = "no content"
        return "error"

    def _take_bytes(self, body: bytes) -> None:
        if self._exchange is None or self._exchange.status != _OK:
            return
        *frames, self._rest = (self._rest + body).split(b"\n\n")
        for frame in frames:
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line[1:])
        name, place = fields.get(b"event", b""), fields.get(b"id")
        self._is_left = self._is_left or name == b"bye"
        if name == b"turn.reset":
            self.resets += 1
            self.text = _told.decode(fields[b"data"]).text
            if place is None:  # it covers nothing: all follows
                self._cursor, self._seq = "", 0
        if place is None:
            return
        self._note_time()
        seq = int(place.rpartition(b"-")[2])
        if name != b"turn.reset" and seq != self._seq + 1:
            self._fault(f"entry {seq} came after {self._seq}")
        self._cursor, self._seq = place.decode("ascii"), seq
        if name == b"text.delta":
            self.deltas += 1
            self.text += _told.decode(fields[b"data"]).text
        elif name in _TERMINAL:
            self.end = name.decode("ascii")
            if _told.decode(fields[b"data"]).text != self.text:
                self._fault("the text of the end is another one")

    def _note_time(self) -> None:
        now = perf_counter()
        if self._is_waiting:
            self._is_waiting = False
            self.first_after_s.append(now - self._asked_at)
        if self._last_at:
            self.longest_pause_s = max(self.longest_pause_s, now - self._last_at)
        self._last_at = now

    def _fault(self, told: str) -> None:
        if len(self.faults) < _KEPT_FAULTS:
            self.faults.append(f"{self.turn_id}: {told}")
