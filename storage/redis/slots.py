"""Which of a Cluster's slots a command is for, and which node has it."""

from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, InvalidResponse, MovedError

from storage.redis.address import Host

Argument = str | bytes | int | float

SLOTS = 16_384

_KEYLESS = frozenset({"CLIENT", "CONFIG", "DBSIZE", "INFO", "PING", "PUBLISH", "SCRIPT", "TIME"})
_SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO"})


class SlotMap:
    """Which node has which slot, as a node told it and redirections corrected it."""

    def __init__(self) -> None:
        self.primaries: tuple[Host, ...] = ()
        self._owners: list[Host | None] = [None] * SLOTS

    def owner(self, slot: int) -> Host | None:
        """Return the node that has a slot, None where nobody was named."""
        return self._owners[slot]

    def move(self, moved: MovedError, asked: Host) -> Host:
        """Note and return the new node of a slot."""
        host = redirected(moved, asked)
        if 0 <= moved.slot_id < SLOTS:
            self._owners[moved.slot_id] = host
        return host

    def take(self, answer: Any, told_by: Host) -> None:
        """Replace the map by an answer to CLUSTER SLOTS.

        Raises:
            InvalidResponse: it is none; the map stays as it was.
        """
        owners: list[Host | None] = [None] * SLOTS
        try:
            for first, last, (host, port, *_), *_ in answer:
                owner = _host(host, int(port), told_by)
                owners[int(first) : int(last) + 1] = [owner] * (int(last) - int(first) + 1)
        except (TypeError, ValueError):
            raise InvalidResponse("the map of the Cluster cannot be read") from None
        primaries = {owner for owner in owners if owner is not None}
        if len(owners) != SLOTS or not primaries:
            raise InvalidResponse("the map of the Cluster has no slots, or such as do not exist")
        self._owners = owners
        self.primaries = tuple(primaries)


def redirected(error: AskError, asked: Host) -> Host:
    """Return where a node sends a command."""
    return _host(error.host, error.port, asked)


def slot_of(command: Sequence[Argument]) -> int | None:
    """Return the slot of a command's first key, None where it has none: any node may answer.

    The key of a command other than a script counts as its first argument: where that is wrong the
    command costs a redirection. That all keys share the slot is for the server to say.
    """
    key = _first_key(command)
    if key is None:
        return None
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def _first_key(command: Sequence[Argument]) -> Argument | None:
    name = str(command[0]).upper()
    if name in _KEYLESS:
        return None
    if name in _SCRIPTS:
        return command[3] if int(command[2]) else None
    return command[1] if len(command) > 1 else None


def _host(name: Any, port: int, asked: Host) -> Host:
    # A node that does not know its own name means the one that it was asked by.
    text = name.decode() if isinstance(name, bytes) else name
    return text if text and text != "?" else asked[0], port
