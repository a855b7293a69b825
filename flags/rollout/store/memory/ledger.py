"""What one process holds of its rollouts, how batches add to it, and how it is kept in a file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flags.rollout.batches import MAX_USERS_COUNTED, Arm, Batch, Counted, seconds
from flags.rollout.counters import NOTHING_COUNTED, TTFT_BINS, Counters, ttft_bin
from flags.rollout.model import FAILING_USERS_KEPT, FAILURES_PER_USER
from flags.rollout.store.base import KEPT_S

EPOCHS_KEPT = 4
"""Of one flag; the oldest go first. What ends late is of the epoch before, or of the one before."""

WORKERS_KEPT = 100
"""Whose last batch is remembered; each start of the process is another worker."""

_HASH_CHARS = 16


@dataclass(slots=True)
class ArmLedger:
    """One arm of one epoch; `sums` has no users, they are counted here."""

    sums: Counters = NOTHING_COUNTED
    users: set[str] = field(default_factory=set)
    failures: dict[str, int] = field(default_factory=dict)

    def counters(self) -> Counters:
        """Return it as counters."""
        failing = min(len(self.failures), FAILING_USERS_KEPT)
        return self.sums.plus(Counters(failing_users=failing, users=len(self.users)))

    def add(self, counted: Counted, *, takes_users: bool) -> None:
        """Add what was counted; `takes_users` says whether its users are."""
        added = [failure for failure in counted.failures if self._counts(failure.user)]
        ttft = list(counted.plain.ttft)
        for failure in added:
            ttft[ttft_bin(seconds(failure.ttft_us))] += 1
        self.sums = self.sums.plus(counted.plain).plus(
            Counters(
                n=len(added),
                errors=sum(failure.is_error for failure in added),
                non_success=len(added),
                ttft=tuple(now - then for now, then in zip(ttft, counted.plain.ttft, strict=True)),
                ttft_us=sum(failure.ttft_us for failure in added),
            )
        )
        if takes_users:
            self.users |= counted.users

    def _counts(self, user: str) -> bool:
        """Say whether another failure of a user counts, and note it."""
        had = self.failures.get(user, 0)
        if had >= FAILURES_PER_USER:
            return False
        # Beyond the bound nobody's failures are remembered; they count all the same.
        if had or len(self.failures) < MAX_USERS_COUNTED:
            self.failures[user] = had + 1
        return True


@dataclass(slots=True)
class FlagLedger:
    """One flag: its epochs by number, what was kept last, and the workers' last batches."""

    epochs: dict[int, dict[Arm, ArmLedger]] = field(default_factory=dict)
    written_at: dict[int, float] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    evidence: bytes | None = None
    report: bytes | None = None

    def add(self, batch: Batch, now: float) -> None:
        """Add a batch, unless it was added before."""
        if batch.number <= self.sent.get(batch.worker, 0):
            return
        self.sent.pop(batch.worker, None)
        self.sent[batch.worker] = batch.number
        while len(self.sent) > WORKERS_KEPT:
            del self.sent[next(iter(self.sent))]
        takes = {epoch: self._takes_users(epoch) for epoch, _ in batch.counted}
        for (epoch, arm), counted in batch.counted.items():
            arms = self.epochs.setdefault(epoch, {each: ArmLedger() for each in Arm})
            arms[arm].add(counted, takes_users=takes[epoch])
            self.written_at[epoch] = now
        self._forget(now)

    def counters(self, epoch: int) -> tuple[Counters, Counters]:
        """Return what was counted in an epoch: on, off."""
        arms = self.epochs.get(epoch)
        if arms is None:
            return NOTHING_COUNTED, NOTHING_COUNTED
        return arms[Arm.ON].counters(), arms[Arm.OFF].counters()

    def _takes_users(self, epoch: int) -> bool:
        arms = self.epochs.get(epoch, {})
        return sum(len(arm.users) for arm in arms.values()) < MAX_USERS_COUNTED

    def _forget(self, now: float) -> None:
        newest = sorted(self.epochs)[-EPOCHS_KEPT:]
        for epoch in list(self.epochs):
            if epoch not in newest or now - self.written_at[epoch] > KEPT_S:
                del self.epochs[epoch], self.written_at[epoch]


@dataclass(frozen=True, slots=True)
class KeptArm:
    """An arm in the file; the hashes of its users stand one after the other in `users`.

    So do those of who failed once, twice, … in `failures`: writing them one by one would hold up
    the event loop.
    """

    epoch: int
    arm: Arm
    sums: Counters
    users: str
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptFlag:
    """A flag in the file."""

    arms: tuple[KeptArm, ...] = ()
    written_at: dict[str, float] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    evidence: str | None = None
    report: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """All that is in the file; `token` is the highest that was given out to a leader."""

    token: int = 0
    flags: dict[str, KeptFlag] = field(default_factory=dict)


def kept(ledger: FlagLedger) -> KeptFlag:
    """Return a flag as it is kept in a file."""
    return KeptFlag(
        tuple(_arms(ledger)),
        {str(epoch): at for epoch, at in ledger.written_at.items()},
        dict(ledger.sent),
        None if ledger.evidence is None else ledger.evidence.decode(),
        None if ledger.report is None else ledger.report.decode(),
    )


def ledger_of(kept: KeptFlag) -> FlagLedger:
    """Return a flag that was kept in a file; what does not fit this release is left out."""
    ledger = FlagLedger(
        sent=dict(kept.sent),
        evidence=None if kept.evidence is None else kept.evidence.encode(),
        report=None if kept.report is None else kept.report.encode(),
    )
    for each in kept.arms:
        if len(each.sums.ttft) != len(TTFT_BINS):
            continue
        arms = ledger.epochs.setdefault(each.epoch, {arm: ArmLedger() for arm in Arm})
        ledger.written_at[each.epoch] = kept.written_at.get(str(each.epoch), 0.0)
        arms[each.arm] = ArmLedger(each.sums, set(_parted(each.users)), _failed(each.failures))
    return ledger


def _arms(ledger: FlagLedger) -> Iterator[KeptArm]:
    for epoch, arms in ledger.epochs.items():
        for arm, each in arms.items():
            failed: list[list[str]] = [[] for _ in range(FAILURES_PER_USER)]
            for user, times in each.failures.items():
                failed[times - 1].append(user)
            users, failures = "".join(each.users), tuple(map("".join, failed))
            yield KeptArm(epoch, arm, each.sums, users, failures)


def _failed(kept: Sequence[str]) -> dict[str, int]:
    """Return how often who failed, as it is counted: what is above the bound is the bound."""
    return {
        user: min(times, FAILURES_PER_USER)
        for times, users in enumerate(kept, 1)
        for user in _parted(users)
    }


def _parted(users: str) -> Iterator[str]:
    for start in range(0, len(users), _HASH_CHARS):
        yield users[start : start + _HASH_CHARS]
