"""`python -m loadtests.tts_simulator`: start the simulator."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from loadtests.tts_simulator import faults
from loadtests.tts_simulator.options import Options
from loadtests.tts_simulator.server import Address, AddressError, serve

_HIGHEST_PORT = 65_535
_MAX_SECONDS = 3_600
_MAX_COUNT = 100_000
_MAX_SIGMA = 5


def main() -> int:
    """Run the simulator until it is told to stop; return the exit status."""
    arguments = _parser().parse_args()
    address = Address(arguments.host, arguments.port, arguments.port_file)
    options = Options(
        latency_s=arguments.latency,
        latency_per_audio_s=arguments.latency_per_audio_s,
        sigma=arguments.sigma,
        seed=arguments.seed,
        max_sentence=arguments.max_sentence,
        burst_every=max(1, arguments.burst_every),
        burst_length=arguments.burst_length,
        idle_s=arguments.idle,
        voices_fail=bool(arguments.voices_fail),
        slow_s=arguments.slow,
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(address, options))
    except AddressError as exc:
        print(f"tts simulator: {exc}", file=sys.stderr)
        return 1
    return 0


def _real(limit: float) -> Callable[[str], float]:
    """Return a reader of numbers from 0 to `limit`."""

    def number(value: str) -> float:
        if not 0 <= float(value) <= limit:  # refuses NaN as well
            raise argparse.ArgumentTypeError(f"a number from 0 to {limit:g}")
        return float(value)

    return number


def _whole(limit: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from 0 to `limit`."""

    def number(value: str) -> int:
        if not value.isdecimal() or int(value) > limit:
            raise argparse.ArgumentTypeError(f"a whole number from 0 to {limit}")
        return int(value)

    return number


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:16} {fault.about}" for name, fault in faults.CATALOGUE.items())
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.tts_simulator",
        description="Google Cloud Text-to-Speech over gRPC: paced, seeded, faulty on request.",
        epilog=(
            "A call asks for a fault by its voice, en-US-Fault-<name>, or by its text, "
            "fault:<name>[:times=2]\n\n"
            f"faults:\n{listed}"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default, seconds, count = Options(), _real(_MAX_SECONDS), _whole(_MAX_COUNT)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=_whole(_HIGHEST_PORT), default=9200, help="0: a free one (%(default)s)")
    add("--port-file", type=Path, help="file that gets the port once listening")
    add("--latency", type=seconds, default=default.latency_s, help="median, s (%(default)s)")
    add(
        "--latency-per-audio-s",
        type=seconds,
        default=default.latency_per_audio_s,
        help="more, for each second of audio, s (%(default)s)",
    )
    add("--sigma", type=_real(_MAX_SIGMA), default=default.sigma, help="its spread (%(default)s)")
    add("--seed", type=int, default=default.seed, help="of the latencies (%(default)s)")
    add(
        "--max-sentence",
        type=count,
        default=default.max_sentence,
        help="characters without a sentence end that are too many, 0: none (%(default)s)",
    )
    add("--burst-every", type=count, default=default.burst_every, help="calls (%(default)s)")
    add(
        "--burst-length",
        type=count,
        default=default.burst_length,
        help="calls of these that are UNAVAILABLE (%(default)s)",
    )
    add("--idle", type=seconds, default=default.idle_s, help="s until a stream without input ends")
    add("--voices-fail", type=_whole(1), default=0, help="1: the list of voices is UNAVAILABLE")
    add("--slow", type=seconds, default=default.slow_s, help="s that the fault slow adds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
