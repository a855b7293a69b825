"""How many workers count, and when they hand over, changes nothing of what is counted."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from flags.rollout.batches import Arm, Batch
from flags.rollout.counters import Counters
from flags.rollout.store.memory.ledger import FlagLedger
from flags.rollout.tally import Tally

OUTCOMES = ("completed", "completed", "amiss", "failed", "interrupted", "cancelled", "hung")


@dataclass(frozen=True)
class Turn:
    """One turn of a user: of one user all failures are alike, for only three of them count."""

    name: str
    user: int
    arm: Arm
    outcome: str
    ttft_s: float


@st.composite
def turns(draw: st.DrawFn) -> list[Turn]:
    made = []
    for number in range(draw(st.integers(1, 60))):
        user = draw(st.integers(0, 7))
        arm = Arm.ON if user % 2 else Arm.OFF
        outcome = OUTCOMES[user % len(OUTCOMES)] if draw(st.booleans()) else "completed"
        ttft_s = user * 1.5 if outcome != "completed" else draw(st.floats(0, 29))
        made.append(Turn(f"t{number}", user, arm, outcome, ttft_s))
    return made


def count(tally: Tally, turn: Turn) -> None:
    unit = f"u{turn.user}"
    tally.assigned(unit, epoch=1, arm=turn.arm)
    tally.began(turn.name, unit, epoch=1, arm=turn.arm, now=0.0)
    if turn.outcome == "hung":
        tally.due(30.0)
        return
    tally.first_token(turn.name, turn.ttft_s)
    is_amiss = turn.outcome == "amiss"
    outcome = "completed" if is_amiss else turn.outcome
    tally.ended(turn.name, outcome, is_amiss=is_amiss, ttft_s=turn.ttft_s, total_s=29.5)


def added(batches: Sequence[Batch]) -> tuple[Counters, Counters]:
    ledger = FlagLedger()
    for batch in batches:
        ledger.add(batch, now=0.0)
    return ledger.counters(1)


@settings(max_examples=60, deadline=None)
@given(turns(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_worker_count_flush_order_and_repetitions_change_no_counter(
    made: list[Turn], workers: int, dice: random.Random
) -> None:
    alone = Tally("alone")
    for turn in made:
        count(alone, turn)

    tallies = [Tally(f"w{number}") for number in range(workers)]
    flushed: dict[str, list[Batch]] = {f"w{number}": [] for number in range(workers)}
    for turn in dice.sample(made, len(made)):
        tally = dice.choice(tallies)
        count(tally, turn)
        if dice.random() < 0.3:
            batch = tally.take()
            flushed[batch.worker].append(batch)
            if dice.random() < 0.5:
                tally.put_back(batch)
    for tally in tallies:
        for batch in (tally.take(), tally.take()):
            flushed[batch.worker].append(batch)

    assert added(interleaved(flushed, dice)) == added([alone.take()])


def interleaved(flushed: dict[str, list[Batch]], dice: random.Random) -> list[Batch]:
    """Return batches in an order in which they may arrive: each worker's one after the other."""
    left = {worker: list(batches) for worker, batches in flushed.items() if batches}
    arrived: list[Batch] = []
    while left:
        worker = dice.choice(sorted(left))
        arrived.append(left[worker].pop(0))
        if not left[worker]:
            del left[worker]
    return arrived
