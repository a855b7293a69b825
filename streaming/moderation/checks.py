"""The checks of a process: every moderator that there is, asked as one, and told to operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from metrics.moderation import ModerationSeries
from resilience.breaker import BreakerState
from streaming.errors import ModerationUnavailableError
from streaming.moderation.base import CLEAN, MAX_TEXT_CHARS, Policy, Stage, Verdict
from streaming.moderation.guarded import GuardedModerator

log = structlog.get_logger(__name__)

OVERLAP_CHARS = 200
"""What two pieces of a long text have in common: a phrase at the cut is whole in one of them."""

WhenDown = Literal["refuse", "allow"]


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose texts are checked; ids for the log, never content."""

    turn_id: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class ModeratorHealth:
    """A moderator as health tells of it."""

    name: str
    breaker: BreakerState


class Checks:
    """Finds out whether texts may be said. Never raises, and answers in bounded time.

    Moderators are asked in order, each only of what the ones before it let pass. Where there is
    none at all, nobody can say.

    Args:
        moderators: The cheapest first.
        series: Figures.
        when_down: Whether what nobody can judge is kept back under the policy `block`.
    """

    def __init__(
        self,
        moderators: Sequence[GuardedModerator],
        series: ModerationSeries,
        *,
        when_down: WhenDown,
    ) -> None:
        self._moderators = moderators
        self._series = series
        self._when_down = when_down

    @property
    def can_judge(self) -> bool:
        """Whether there is any moderator."""
        return bool(self._moderators)

    def health(self) -> list[ModeratorHealth]:
        """Return how the moderators are."""
        return [ModeratorHealth(each.name, each.breaker.state) for each in self._moderators]

    def may_pass(self, verdict: Verdict | None) -> bool:
        """Whether a text may be said under the policy `block`; None: nobody could judge it."""
        if verdict is None:
            return self._when_down == "allow"
        return not verdict.is_flagged

    async def judge(self, asker: Asker, stage: Stage, texts: Sequence[str]) -> list[Verdict | None]:
        """Return a verdict for each text, None where nobody could judge it; counts and logs them.

        Texts may be of any length.
        """
        pieces = [_pieces(text) for text in texts]
        flat = [piece for of_text in pieces for piece in of_text]
        found = await self._ask(flat, asker)
        verdicts: list[Verdict | None] = []
        for of_text in pieces:
            verdicts.append(_joined(found[: len(of_text)]))
            del found[: len(of_text)]
        for verdict in verdicts:
            self._tell(asker, stage, verdict)
        return verdicts

    async def close(self) -> None:
        """Release the moderators; safe to call twice."""
        for moderator in self._moderators:
            await moderator.close()

    async def _ask(self, texts: Sequence[str], asker: Asker) -> list[Verdict | None]:
        found: list[Verdict | None] = [CLEAN if self._moderators else None for _ in texts]
        for moderator in self._moderators:
            places = [place for place, verdict in enumerate(found) if verdict == CLEAN]
            asked = [texts[place] for place in places]
            answers: Sequence[Verdict | None]
            try:
                answers = await moderator.check(asked) if asked else ()
            except ModerationUnavailableError as error:
                if error.reason != "open":  # that it opened was told once
                    _log_failure(asker, moderator.name, error.reason)
                answers = [None] * len(asked)
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer
        return found

    def _tell(self, asker: Asker, stage: Stage, verdict: Verdict | None) -> None:
        if verdict is None:
            self._series.judged(stage, "unavailable")
            return
        if not verdict.is_flagged:
            self._series.judged(stage, "passed")
            return
        told = "blocked" if asker.policy == "block" else "flagged"
        self._series.judged(stage, told)
        log.warning(
            "moderation.judged",
            turn_id=asker.turn_id,
            stage=stage,
            verdict=told,
            categories=list(verdict.categories),
            score=None if verdict.score is None else round(verdict.score, 3),
        )


def _log_failure(asker: Asker, moderator: str, reason: str) -> None:
    log.warning("moderation.unavailable", turn_id=asker.turn_id, moderator=moderator, reason=reason)


def _pieces(text: str) -> list[str]:
    """Cut a text as moderators take it; of blanks alone there is nothing to judge."""
    if not text.strip():
        return []
    if len(text) <= MAX_TEXT_CHARS:
        return [text]
    step = MAX_TEXT_CHARS - OVERLAP_CHARS
    cut = (text[at : at + MAX_TEXT_CHARS] for at in range(0, len(text) - OVERLAP_CHARS, step))
    return [piece for piece in cut if piece.strip()]


def _joined(verdicts: Sequence[Verdict | None]) -> Verdict | None:
    """Return what the verdicts of one text's pieces come to: one that is flagged is enough."""
    flagged = [verdict for verdict in verdicts if verdict is not None and verdict.is_flagged]
    if flagged:
        categories = {category for verdict in flagged for category in verdict.categories}
        scores = [verdict.score for verdict in flagged if verdict.score is not None]
        return Verdict(tuple(sorted(categories)), max(scores) if scores else None)
    return None if None in verdicts else CLEAN
