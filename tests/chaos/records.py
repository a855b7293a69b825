"""What everybody saw: one operation a line, written while it happens and judged at the end.

Jepsen's rule: what timed out is `info`, for it may have happened; only what surely did not is
`fail`.
"""

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Literal, Self, TypedDict, Unpack

import msgspec

Op = Literal[
    "post",
    "open",
    "event",
    "close",
    "cancel",
    "state",
    "fault",
    "lease",
    "turn",
    "message",
    "calls",
]
Result = Literal["ok", "fail", "info"]

TERMINAL = frozenset({"turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted"})

LEFT = "left"
"""How a reader closes that does not mean to come back."""

LOST = "lost"
"""What is said of leases when Redis has lost everything."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that one process did or saw; what a field means depends on `op`.

    - `post`: a turn was asked for, with the idempotency key `key`, and took `took_s`; `text` is the
      answer that is expected, where one is, `name` the chatbot, `status` the answer's.
    - `open`: a reader attached after the entry `epoch`-`seq`, got `status`; `worker`: where.
    - `event`: a reader got an event: its `name`, its place, its `text` (delta, reset, end), the
      `digest` of its data. A heartbeat has no place.
    - `close`: a reader lost its connection (`name` says how), or went for good (`LEFT`).
    - `cancel`, `state`: a request about a turn; `name` is the status it told.
    - `fault`: one that ended now, after `took_s`; `name` is its kind, `worker` whom it hit, `seq`
      how many connections it cut.
    - `lease`: `worker` began to write entries of `epoch`, as Redis saw; or Redis lost everything
      (`LOST`).
    - `turn`: a stored record: status in `name`, its text, last place.
    - `message`: a stored message of a user: its text is `key`.
    - `calls`: the model was asked `seq` times in all.
    """

    t_mono: float
    process: str
    op: Op
    result: Result = "ok"
    turn: str = ""
    epoch: int = 0
    seq: int = 0
    name: str = ""
    text: str = ""
    digest: str = ""
    key: str = ""
    worker: str = ""
    status: int = 0
    took_s: float = 0.0


class Details(TypedDict, total=False):
    """The fields of an operation that have a default."""

    result: Result
    turn: str
    epoch: int
    seq: int
    name: str
    text: str
    digest: str
    key: str
    worker: str
    status: int
    took_s: float


class Recorder:
    """Writes operations to a file, whole lines at once; keeps them for the judge."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.operations: list[Operation] = []
        self._file = path.open("ab")
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, process: str, op: Op, **details: Unpack[Details]) -> Operation:
        """Note what has just happened."""
        operation = Operation(t_mono=monotonic(), process=process, op=op, **details)
        self.operations.append(operation)
        self._file.write(self._encode(operation) + b"\n")
        return operation


def read_operations(path: Path) -> list[Operation]:
    """Return what was recorded; a last line that was not finished is left out."""
    decode = msgspec.json.Decoder(Operation).decode
    lines = path.read_bytes().split(b"\n")
    return [decode(line) for line in lines[:-1]]


def write_operations(path: Path, operations: Iterable[Operation]) -> None:
    """Write a history as it would have been recorded."""
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in operations))


def digest_of(name: str, data: str) -> str:
    """Return what stands for an event's bytes.

    Whether an end was stored may be told differently: readers are told what is so by then.
    """
    if name in TERMINAL or name == "text.done":
        told = msgspec.json.decode(data)
        told.pop("stored", None)
        data = msgspec.json.encode(told, order="sorted").decode()
    return blake2b(f"{name}\0{data}".encode(), digest_size=8).hexdigest()
