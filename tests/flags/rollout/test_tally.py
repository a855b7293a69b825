"""What a process counts: each turn once, as what it was, within bounds."""

import pytest

from flags.rollout import tally as bounds
from flags.rollout.batches import Arm, Batch, Counted, Failure, hashed
from flags.rollout.counters import Counters
from flags.rollout.tally import Tally
from tests.support.rollout_stores import counters

ON, OFF = Arm.ON, Arm.OFF
T_US = 30_000_000


def began(tally: Tally, *turns: str, epoch: int = 1, arm: Arm = ON, now: float = 0.0) -> None:
    for turn in turns:
        tally.began(turn, f"user of {turn}", epoch=epoch, arm=arm, now=now)


def end(
    tally: Tally,
    turn: str,
    outcome: str = "completed",
    *,
    ttft_s: float | None = 0.5,
    is_amiss: bool = False,
    total_s: float = 2.0,
) -> None:
    tally.ended(turn, outcome, is_amiss=is_amiss, ttft_s=ttft_s, total_s=total_s)


def counted(batch: Batch, epoch: int = 1, arm: Arm = ON) -> Counted:
    return batch.counted.get((epoch, arm), Counted())


def failure(turn: str, ttft_us: int, *, is_error: bool = True) -> Failure:
    return Failure(hashed(f"user of {turn}"), is_error, ttft_us)


def test_nothing_counted_is_an_empty_batch_and_numbers_grow() -> None:
    tally = Tally("w1")

    assert [tally.take() for _ in range(2)] == [Batch("w1", 1, {}), Batch("w1", 2, {})]


def test_turns_are_counted_at_their_end_by_epoch_and_arm() -> None:
    tally = Tally("w1")
    began(tally, "a", "b", "c")
    began(tally, "d", arm=OFF)
    began(tally, "e", epoch=2)
    for turn, ttft_s in (("a", 0.2), ("b", 12.0), ("d", 1.0), ("e", 3.0)):
        tally.first_token(turn, ttft_s)
        end(tally, turn, ttft_s=ttft_s, total_s=40.0)

    batch = tally.take()

    assert counted(batch).plain == counters((0.2, 12.0))
    assert counted(batch, arm=OFF).plain == counters((1.0,))
    assert counted(batch, epoch=2).plain == counters((3.0,))
    end(tally, "c", ttft_s=0.1)
    assert tally.take().counted == {(1, ON): Counted(counters((0.1,)))}


@pytest.mark.parametrize(
    ("outcome", "ttft_s", "is_amiss", "kept"),
    [
        ("failed", 0.25, False, failure("a", 250_000)),
        ("failed", None, False, failure("a", T_US)),
        ("interrupted", 0.25, True, failure("a", 250_000)),
        ("completed", 0.25, True, failure("a", 250_000, is_error=False)),
        ("completed", None, True, failure("a", T_US, is_error=False)),
    ],
)
def test_what_is_no_success_is_kept_with_its_user(
    outcome: str, ttft_s: float | None, kept: Failure, *, is_amiss: bool
) -> None:
    tally = Tally("w1")
    began(tally, "a")

    end(tally, "a", outcome, ttft_s=ttft_s, is_amiss=is_amiss)

    assert counted(tally.take()) == Counted(failures=(kept,))


@pytest.mark.parametrize("ttft_s", [None, 0.3])
def test_what_was_cancelled_is_only_counted_as_cancelled(ttft_s: float | None) -> None:
    tally = Tally("w1")
    began(tally, "a")

    end(tally, "a", "cancelled", ttft_s=ttft_s, is_amiss=True, total_s=29.9)

    assert counted(tally.take()) == Counted(Counters(cancelled=1))


@pytest.mark.parametrize("later", ["completed", "failed", "cancelled", "left", "token"])
def test_without_a_token_by_then_a_turn_is_an_error_once_whatever_becomes_of_it(
    later: str,
) -> None:
    tally = Tally("w1")
    began(tally, "a", now=100.0)

    tally.due(129.9)
    assert tally.take().counted == {}
    tally.due(130.0)
    assert counted(tally.take()) == Counted(failures=(failure("a", T_US),))

    tally.due(200.0)
    if later == "left":
        tally.left("a")
    else:
        tally.first_token("a", 31.0)
    if later not in {"left", "token"}:
        end(tally, "a", later, ttft_s=31.0, total_s=60.0)
    tally.due(300.0)
    assert tally.take().counted == {}


@pytest.mark.parametrize("outcome", ["completed", "failed", "cancelled"])
@pytest.mark.parametrize("ttft_s", [None, 30.0, 45.0])
def test_what_ends_late_is_the_same_whether_or_not_somebody_looked_in_time(
    outcome: str, ttft_s: float | None
) -> None:
    tally, told = Tally("w1"), Tally("w1")
    for each in (tally, told):
        began(each, "a")
    if ttft_s is not None:
        told.first_token("a", ttft_s)

    for each in (tally, told):
        end(each, "a", outcome, ttft_s=ttft_s, total_s=50.0)
        each.due(60.0)

    assert tally.take() == told.take() == Batch("w1", 1, {
        (1, ON): Counted(failures=(failure("a", T_US),))
    })  # fmt: skip


def test_a_turn_with_a_token_is_never_due() -> None:
    tally = Tally("w1")
    began(tally, "a")
    tally.first_token("a", 29.0)

    tally.due(1000.0)
    end(tally, "a", ttft_s=29.0, total_s=1001.0)

    assert counted(tally.take()) == Counted(counters((29.0,)))


def test_a_turn_that_was_taken_over_is_due_by_when_it_was_asked_for() -> None:
    tally = Tally("w1")
    began(tally, "mine", now=50.0)
    began(tally, "theirs", now=30.0)

    tally.due(60.0)

    assert counted(tally.take()).failures == (failure("theirs", T_US),)


def test_what_goes_on_elsewhere_is_forgotten() -> None:
    tally = Tally("w1")
    began(tally, "a", "b")
    tally.first_token("b", 0.1)

    tally.left("a")
    tally.left("b")
    tally.left("never known")
    end(tally, "a", "failed")
    tally.due(1000.0)

    assert tally.take().counted == {}


def test_users_are_counted_when_they_are_assigned_and_never_by_name() -> None:
    tally = Tally("w1")
    for unit in ("ann", "bob", "ann", "\ud800"):
        tally.assigned(unit, epoch=1, arm=ON)
    tally.assigned("cid", epoch=1, arm=OFF)

    batch = tally.take()

    assert counted(batch).users == {hashed("ann"), hashed("bob"), hashed("\ud800")}
    assert counted(batch, arm=OFF).users == {hashed("cid")}
    assert {len(user) for user in counted(batch).users} == {16}
    tally.assigned("ann", epoch=1, arm=ON)
    assert counted(tally.take()).users == {hashed("ann")}


def test_what_is_put_back_comes_again_as_it_was_before_what_is_new() -> None:
    tally = Tally("w1")
    began(tally, "a", "b")
    end(tally, "a")
    first = tally.take()
    tally.put_back(first)
    end(tally, "b", "failed", ttft_s=None)

    assert tally.take() is first
    tally.put_back(first)
    assert tally.take() is first
    second = tally.take()
    assert (second.number, counted(second)) == (2, Counted(failures=(failure("b", T_US),)))


def test_what_does_not_fit_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_TURNS", "MAX_FAILURES", "MAX_USERS"):
        monkeypatch.setattr(bounds, name, 3)
    tally = Tally("w1")

    began(tally, *"abcd")
    assert tally.dropped == 1
    for unit in "abcd":
        tally.assigned(unit, epoch=1, arm=ON)
    assert tally.dropped == 2
    for turn in "abcd":
        end(tally, turn, "failed", ttft_s=0.1)
    began(tally, "e")
    end(tally, "e", "failed", ttft_s=0.1)

    assert tally.dropped == 3
    batch = counted(tally.take())
    assert [each.user for each in batch.failures] == [hashed(f"user of {turn}") for turn in "bce"]
    assert batch.users == {hashed(unit) for unit in "abc"}
    tally.assigned("d", epoch=1, arm=ON)
    assert tally.dropped == 3


def test_the_oldest_epochs_are_dropped_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_EPOCHS", 2)
    tally = Tally("w1")
    for epoch in (1, 2, 3):
        began(tally, f"a{epoch}", f"b{epoch}", epoch=epoch)
        tally.assigned("ann", epoch=epoch, arm=ON)
        end(tally, f"a{epoch}")
        end(tally, f"b{epoch}", "failed")

    assert tally.dropped == 2
    assert tally.take().counted.keys() == {(2, ON), (3, ON)}
