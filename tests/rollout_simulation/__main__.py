"""`python -m tests.rollout_simulation`: the figures of `docs/rollout-statistics.md`, half an hour.

Every table is of its own seed, so that one of them can be had alone: `--only incidents`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from flags.rollout.model import Plan
from tests.rollout_simulation.experiments import (
    HEALTHY,
    PEERS,
    detection,
    detection_ruled,
    gate_ever_passed,
    incident,
    mismatch,
    passes,
    passes_ruled,
    steady,
    total_failure,
    whole_rollouts,
    whole_rollouts_ruled,
)
from tests.rollout_simulation.figures import Share, middle, table
from tests.rollout_simulation.traffic import Law


def main() -> int:
    """Print every table that is asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.rollout_simulation")
    parser.add_argument("--only", nargs="*", choices=sorted(TABLES), default=list(TABLES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", type=float, default=1.0, help="of the runs, for a quick look")
    asked = parser.parse_args()
    for name in asked.only:
        begun = time.process_time()
        TABLES[name](asked.seed, lambda runs: max(2, round(runs * asked.part)))
        sys.stdout.write(f"<!-- {name}: {time.process_time() - begun:.0f} s of CPU -->\n\n")
    return 0


Runs = Callable[[int], int]


def _healthy(seed: int, runs: Runs) -> None:
    rows = []
    for error, rate, count in (
        (0.003, 20, 200),
        (0.005, 20, 1200),
        (0.009, 20, 200),
        (0.005, 1, 50),
    ):
        law = Law(error=error)
        ours = whole_rollouts(law, rate, runs=runs(count), seed=seed)
        peers = [
            whole_rollouts_ruled(name, law, rate, runs=runs(min(count, 200)), seed=seed)
            for name in PEERS
        ]
        hours = f"{np.median(ours.hours):.1f} h" if ours.hours else "-"
        rows.append((_percent(error), rate, *map(_brief, peers), ours.rolled_back, hours))
    head = ("errors", "requests/s", *PEERS, "ours", "ours: completed after")
    table("Healthy variants rolled back, whole rollout", head, rows)


def _boundary(seed: int, runs: Runs) -> None:
    cells = (
        ("error", "2 % errors", Law(error=0.02), 4000),
        ("non_success", "10 % without success", Law(error=0.0, amiss=0.1), 4000),
        ("ttft", "mean 2 s, sigma 0.5", Law(ttft_s=2.0, sigma=0.5), 1000),
        ("ttft", "mean 2 s, sigma 0.8", Law(ttft_s=2.0), 4000),
        ("ttft", "mean 2 s, sigma 1.5", Law(ttft_s=2.0, sigma=1.5), 1000),
    )
    rows = [
        (metric, what, gate_ever_passed(metric, law, runs=runs(count), seed=seed))
        for metric, what, law, count in cells
    ]
    table("A gate ever passed at the boundary, 20,000 requests", ("gate", "truth", "passed"), rows)


def _bad(seed: int, runs: Runs) -> None:
    rows = []
    for error in (0.02, 0.03, 0.05):
        law = Law(error=error)
        peers = [passes_ruled(name, law, runs=runs(300), seed=seed) for name in PEERS]
        rows.append((_percent(error), *map(_brief, peers), passes(law, runs=runs(500), seed=seed)))
    table("Bad variants that pass the 1 % stage, 20 requests/s", ("errors", *PEERS, "ours"), rows)


def _detection(seed: int, runs: Runs) -> None:
    cells = (
        ("3 % errors", Law(error=0.03)),
        ("5 % errors", Law(error=0.05)),
        ("10 % errors", Law(error=0.1)),
        ("50 % errors", Law(error=0.5)),
        ("100 % errors", Law(error=1.0)),
        ("mean first token 2.5 s", Law(ttft_s=2.5)),
        ("mean first token 4 s", Law(ttft_s=4.0)),
    )
    rows = []
    for what, law in cells:
        small = detection(law, 1.0, runs=runs(200), seed=seed, healthy_s=0.0)
        half = detection(law, 50.0, runs=runs(200), seed=seed, healthy_s=300.0)
        rows.append(
            (
                what,
                middle(small.requests),
                middle([each / 60 for each in small.seconds]),
                middle(half.requests),
                middle(half.seconds),
                f"{min(small.share.of, half.share.of)}/{half.share.total}",
            )
        )
    head = ("regression", "1 %: requests", "1 %: minutes", "50 %: requests", "50 %: s", "found")
    table("What a regression takes until it is rolled back, median (95th percentile)", head, rows)


def _alarm(seed: int, runs: Runs) -> None:
    rows = []
    for alarm in (7.0, 9.0, 11.0):
        found = detection(
            Law(error=0.05), 50.0, runs=runs(100), seed=seed, healthy_s=300.0, alarm=alarm
        )
        shares = [
            steady(Law(error=error), alarm, runs=runs(100), seed=seed) for error in (0.01, 0.008)
        ]
        rows.append((f"{alarm:g}", *shares, middle(found.seconds)))
    head = ("alarm", "1 % errors rolled back", "0.8 % errors rolled back", "5 % found after s")
    table("The alarm: 200,000 requests at 100 %, and 5 % errors at 50 %", head, rows)


def _failure(seed: int, runs: Runs) -> None:
    ours = total_failure(runs=runs(1000), seed=seed)
    rows: list[tuple[object, ...]] = [
        ("ours", max(ours.seconds), f"{max(ours.failed):.0f}", middle(ours.failed))
    ]
    for name in PEERS:
        found = detection_ruled(
            name, Law(error=1.0), 50.0, runs=runs(100), seed=seed, healthy_s=300.0
        )
        seconds = max(found.seconds) if found.seconds else "never"
        failed = f"{max(found.failed):.0f}" if found.failed else "-"
        rows.append((name, seconds, failed, middle(found.failed)))
    head = ("rule", "seconds at most", "failed requests at most", "failed, median (95th)")
    table("Everything fails at the 50 % stage, 20 requests/s, after 300 s", head, rows)


def _incidents(seed: int, runs: Runs) -> None:
    shared = replace(HEALTHY, error=0.3)
    silent = replace(HEALTHY, error=0.3, tokenless=1.0)
    worse = replace(HEALTHY, error=0.6)
    blunt = Plan(on_shared_incident="rollback")
    rows = []
    for share in (1.0, 10.0, 50.0, 90.0):
        alone = incident((worse, shared), share, runs=runs(100), seed=seed)
        rows.append(
            (
                f"{share:g} %",
                _brief(
                    incident((shared, shared), share, runs=runs(100), seed=seed, plan=blunt).share
                ),
                incident((shared, shared), share, runs=runs(1000), seed=seed).share,
                incident((silent, silent), share, runs=runs(1000), seed=seed).share,
                f"{_brief(alone.share)} after {middle(alone.seconds)} s",
            )
        )
    head = (
        "stage",
        "absolute only",
        "ours",
        "ours, failures without a token",
        "ours, 60 % against 30 %",
    )
    table("Both arms fail at 30 % for ten minutes: rolled back", head, rows)


def _samples(seed: int, runs: Runs) -> None:
    rows = []
    for share, users, count in ((50.0, 20_000, 4000), (10.0, 20_000, 1000)):
        fair = mismatch(1.0, share, runs=runs(count), seed=seed, users=users)
        lossy = mismatch(0.9, share, runs=runs(200), seed=seed, users=3 * users)
        rows.append((f"{share:g} %", fair.ours, fair.chi_square, lossy.ours, middle(lossy.users)))
    head = (
        "stage",
        "ours, fair",
        "chi-square p < 0.001, fair",
        "ours, a tenth lost",
        "users until told",
    )
    table("A mismatch of samples told, 100 looks", head, rows)


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


def _brief(share: Share) -> str:
    return f"{100 * share.of / share.total:.1f} %"


TABLES: Mapping[str, Callable[[int, Runs], None]] = {
    "healthy": _healthy,
    "boundary": _boundary,
    "bad": _bad,
    "detection": _detection,
    "alarm": _alarm,
    "failure": _failure,
    "incidents": _incidents,
    "samples": _samples,
}

if __name__ == "__main__":
    sys.exit(main())
