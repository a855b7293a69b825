"""What goes along with a turn's text: it is spoken, and it is checked."""

from dataclasses import replace
from functools import partial
from time import monotonic

from streaming.moderation.checks import Asker, Checks
from streaming.moderation.gate import Gate, Reason
from streaming.speech.turn_speech import Studio, TurnSpeech
from streaming.turn import Failed, LiveTurn

_REASONS: dict[Reason, Failed] = {
    "content_blocked": Failed(
        "content_blocked",
        "The answer ends here: what comes next may not be said by this assistant. Ask otherwise.",
        False,
    ),
    "moderation_unavailable": Failed(
        "moderation_unavailable",
        "The rest of the answer could not be checked; ask again in a moment.",
        True,
    ),
    "internal_error": Failed("internal_error", "Something went wrong here; ask again.", True),
}


def speech_of(turn: LiveTurn, studio: Studio) -> TurnSpeech | None:
    """Return the speech of a turn that is spoken."""
    spec = turn.spec
    if spec.speech is None:
        return None
    return TurnSpeech(
        spec.turn_id,
        spec.speech,
        replace(studio, maker=studio.maker.counted_for(spec.counted_for)),
        writer=turn.writer,
        draft=turn.draft,
        received_at=spec.received_at,
    )


def gate_of(turn: LiveTurn, checks: Checks | None) -> Gate | None:
    """Return the gate that the text of a turn passes whose policy asks for one."""
    spec = turn.spec
    if checks is None or spec.moderation == "off":
        return None
    return Gate(
        Asker(spec.turn_id, spec.moderation),
        checks,
        show=lambda text: turn.emit(text, monotonic()),
        stop=partial(_stop, turn),
    )


def _stop(turn: LiveTurn, reason: Reason) -> None:
    turn.stop(_REASONS[reason])
