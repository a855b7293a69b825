"""Turns whose text is complete, and told, while their speech goes on.

For the record such a turn has ended: its conversation is free. Its log ends when the speech does,
or is cut: by the user, by the next turn of the conversation, by a limit.
"""

from collections.abc import Sequence

import msgspec
import structlog

from history.model import TurnSeal
from streaming.commands import FallSilent, encode
from streaming.ending import Ending
from streaming.errors import LogUnavailableError
from streaming.event_log.base import Leases
from streaming.events import Event, TextDone, TurnCompleted
from streaming.keeper import RecordKeeper
from streaming.speech.turn_speech import TurnSpeech
from streaming.turn import LiveTurn

log = structlog.get_logger(__name__)


class Speaking:
    """The turns of this process that only speak; one a conversation.

    Args:
        keeper: Writes the record.
        leases: Where turns of other workers are told to fall silent.
    """

    def __init__(self, keeper: RecordKeeper, leases: Leases | None) -> None:
        self._keeper = keeper
        self._leases = leases
        self._turns: dict[str, LiveTurn] = {}

    def silence(self, conversation_id: str) -> None:
        """Cut the speech that goes on in a conversation, if any: its turn ends at once."""
        turn = self._turns.pop(conversation_id, None)
        if turn is not None and turn.speech is not None:
            turn.speech.cut()

    async def silence_elsewhere(self, turn_id: str) -> None:
        """Have the speech of a turn cut that another worker may still speak; never fails."""
        if self._leases is None:
            return
        try:
            await self._leases.tell(turn_id, encode(FallSilent()))
        except LogUnavailableError:  # it ends by its own limits
            log.warning("turn.not_silenced", turn_id=turn_id)

    async def finish(
        self, turn: LiveTurn, ending: Ending, last: Sequence[Event]
    ) -> Sequence[Event]:
        """Tell that the text is complete, let the speech end, and return what is left to be told.

        A turn without speech is left as it is; one that ends otherwise than completed falls silent.

        Args:
            turn: Its record has ended.
            ending: How it ends.
            last: Its last events, the terminal one at the end.
        """
        speech = turn.speech
        if speech is None:
            return last
        match last:
            case [TextDone() as done, TurnCompleted(stored=stored)]:
                turn.writer.append(done)
                was_kept = self._keeper.unstored(turn.spec.turn_id) is not None
                await self._speak_out(turn, speech)
                is_kept = was_kept and self._keeper.unstored(turn.spec.turn_id) is None
                last = [ending.events(stored=stored or is_kept)[-1]]
            case _:
                speech.cut()
        if any(last[-1] == ending.events(stored=stored)[-1] for stored in (True, False)):
            await self._seal(turn, ending, speech)  # else the record is somebody else's
        return last

    async def _seal(self, turn: LiveTurn, ending: Ending, speech: TurnSpeech) -> None:
        """Keep what was told, of whatever end: its audio is asked for by index for long."""
        units = speech.all_units(ending.text)
        if not units:
            return
        cursor = turn.writer.cursor
        await self._keeper.seal(
            TurnSeal(
                turn_id=turn.spec.turn_id,
                epoch=cursor.epoch,
                last_seq=cursor.seq + 1,
                end=msgspec.to_builtins(ending.events(stored=True)[-1]),
                speech=units,
            )
        )

    async def _speak_out(self, turn: LiveTurn, speech: TurnSpeech) -> None:
        conversation_id = turn.spec.conversation_id
        self._turns[conversation_id] = turn
        try:
            await speech.finish()
        finally:
            if self._turns.get(conversation_id) is turn:
                del self._turns[conversation_id]
