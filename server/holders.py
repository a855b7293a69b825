"""Asking whoever produces a turn: this process, or by way of the shared log another one."""

from time import monotonic

import anyio
import structlog

from history.errors import HistoryError
from history.model import TurnStatus
from server.services import Services
from streaming.commands import CancelTurn, Command, FallSilent, encode
from streaming.errors import LogUnavailableError
from streaming.turn import Cancelled

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.1


async def cancel_turn(services: Services, turn_id: str, cause: Cancelled, *, wait_s: float) -> None:
    """Stop a turn wherever it runs, and wait until it has ended, at most `wait_s` seconds."""
    if services.runner.find(turn_id) is not None:
        await services.runner.cancel(turn_id, cause, wait_s=wait_s)
        return
    if services.leases is None:
        return
    due, command = monotonic() + wait_s, encode(CancelTurn(cause.by, cause.seen))
    try:
        while not await services.leases.tell(turn_id, command):
            # Nobody is known to hold it: it has ended, or has just begun and is not shared yet.
            if monotonic() >= due or not await _is_running(services, turn_id):
                return
            await anyio.sleep(LOOK_EVERY_S)
    except LogUnavailableError:
        log.warning("turn.holder_not_told", turn_id=turn_id)
        return
    await until_ended(services, turn_id, wait_s=due - monotonic())


async def silence(services: Services, owner_id: str, conversation_id: str) -> None:
    """Cut the speech that goes on in a conversation after its text, wherever it does.

    Raises:
        HistoryError: the conversation is not there, or cannot be read.
    """
    services.runner.silence(conversation_id)
    if services.leases is None:
        return
    turn_id = await last_turn_id(services, owner_id, conversation_id)
    if turn_id is not None and services.runner.find(turn_id) is None:
        await tell_holder(services, turn_id, FallSilent())


async def last_turn_id(services: Services, owner_id: str, conversation_id: str) -> str | None:
    """Return the turn of a conversation's newest message; None: it has no message.

    Raises:
        HistoryError: the conversation is not there, or cannot be read.
    """
    newest = await services.history.messages.list(owner_id, conversation_id, limit=1, before=None)
    return newest.items[-1].turn_id if newest.items else None


async def tell_holder(services: Services, turn_id: str, command: Command) -> bool:
    """Leave a command for the worker that holds a turn; False where none does, or none is heard."""
    if services.leases is None:
        return False
    try:
        return await services.leases.tell(turn_id, encode(command))
    except LogUnavailableError:
        log.warning("turn.holder_not_told", turn_id=turn_id)
        return False


async def until_ended(services: Services, turn_id: str, *, wait_s: float) -> None:
    """Wait until a turn that runs elsewhere has ended, as its record tells."""
    due = monotonic() + wait_s
    while monotonic() < due and await _is_running(services, turn_id):  # noqa: ASYNC110  # in the store
        await anyio.sleep(LOOK_EVERY_S)


async def _is_running(services: Services, turn_id: str) -> bool:
    """Say whether a turn runs; False, too, where its record cannot be read."""
    try:
        return (await services.history.turns.find(turn_id)).status is TurnStatus.RUNNING
    except HistoryError:
        return False
