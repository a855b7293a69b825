"""What is promised of a token, and whether a run has held it."""

from collections.abc import Iterator

from loadtests.bench.figures import Row
from loadtests.bench.results import Results

OWN = "chatstream"

TOLERANCE = 1.25
"""By so much identical runs differ on a machine that others use as well."""

SHARES = {"nginx": 2.5, "tutorial": 1 / 5, "ai-sdk": 1 / 6, "litellm": 1 / 13, "node-relay": 1.0}
"""How many times another's CPU per token ours may take."""

REDIS_US = 8.0
TURN_KB = 50.0
PER_S = 30_000
IDLE_P50_MS = 1.0
GAP_MS = 10.0
OPENING_P99_MS = {"200 x 40 tokens/s": 10.0, "1,000 x 10 tokens/s": 25.0}


def judged(results: Results) -> list[Row]:
    """Return a row for each promise that was measured."""
    return [*_shares(results), *_paced(results), *_at_rest(results)]


def _shares(results: Results) -> Iterator[Row]:
    for workload in results.steady:
        for other, share in SHARES.items():
            ratio = results.ratio(workload, OWN, other)
            if ratio is not None:
                seen = f"{ratio:.2f} x" if share >= 1 else f"1 / {1 / ratio:.1f}"
                promised = f"<= {share:g} x" if share >= 1 else f"<= 1 / {1 / share:g}"
                yield Row(
                    f"CPU beside {other}, {workload}",
                    seen,
                    f"{promised}, + 25 %",
                    ratio <= TOLERANCE * share,
                )
        own, redis = (results.cpu_us(workload, name) for name in (OWN, "chatstream+redis"))
        if own and redis:
            more = redis - own
            promised = f"<= {REDIS_US:g} μs"
            yield Row(f"log in Redis, {workload}", f"+ {more:.1f} μs", promised, more <= REDIS_US)


def _paced(results: Results) -> Iterator[Row]:
    for workload in results.steady:
        gap = results.added(workload, OWN, lambda one: one.pace.gap_p99_s)
        if gap is not None:
            yield Row(
                f"p99 gap added, {workload}",
                f"{gap * 1e3:.1f} ms",
                f"<= {GAP_MS:g} ms",
                gap * 1e3 <= GAP_MS,
            )
        bound = OPENING_P99_MS.get(workload)
        p99 = results.added(workload, OWN, lambda one: one.ttft_s[1])
        if bound and p99 is not None:
            yield Row(
                f"TTFT p99 added while all open, {workload}",
                f"{p99 * 1e3:.1f} ms",
                f"<= {bound:g} ms",
                p99 * 1e3 <= bound,
            )


def _at_rest(results: Results) -> Iterator[Row]:
    if OWN in results.idle:
        p50, _ = results.added_ms(OWN)
        promised = f"<= {IDLE_P50_MS:g} ms"
        yield Row("TTFT p50 added, idle", f"{p50:.2f} ms", promised, p50 <= IDLE_P50_MS)
    memory, most = results.memory_kb.get(OWN), results.ceiling.get(OWN)
    if memory is not None:
        yield Row(
            "memory of an open stream",
            f"{memory:.0f} KB",
            f"<= {TURN_KB:g} KB",
            memory <= TURN_KB,
        )
    if most is not None:
        yield Row(
            "paced on one core",
            f"{most.held_per_s:,} tokens/s",
            f">= {PER_S:,}",
            most.held_per_s >= PER_S,
        )
