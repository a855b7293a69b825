"""`python -m loadtests.llm_simulator`: start the simulator."""

import argparse
import asyncio
import sys
from pathlib import Path

import uvloop

from loadtests.llm_simulator import faults
from loadtests.llm_simulator.options import ModelNameError, Options, parse_model
from loadtests.llm_simulator.server import Address, serve

_HIGHEST_PORT = 65_535


def main() -> int:
    """Run the simulator until it is told to stop; return the exit status."""
    arguments = _parser().parse_args()
    spec = ",".join(
        f"{key}={getattr(arguments, key)}" for key in ("ttft", "rate", "tokens", "seed")
    )
    try:
        defaults = parse_model(f"sim:{spec}", Options()).options
    except ModelNameError as exc:
        print(f"simulator: {exc}", file=sys.stderr)
        return 2
    address = Address(arguments.host, arguments.port, arguments.port_file)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(address, defaults))
    except OSError as exc:
        place = exc.filename or f"{address.host}:{address.port}"
        print(f"simulator: {place}: {exc.strerror}", file=sys.stderr)
        return 1
    return 0


def _port(value: str) -> int:
    if not value.isdecimal() or int(value) > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"a port is 0 to {_HIGHEST_PORT}")
    return int(value)


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  fault:{name:16} {about}" for name, about in faults.catalogue().items())
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.llm_simulator",
        description="An OpenAI-compatible server with paced, deterministic answers.",
        epilog=(
            "A model's name may change the answer: sim:tokens=500,rate=100,ttft=0.01,seed=7\n"
            "A fault model fails on purpose: fault:cut:after=5,times=1\n\n"
            f"fault models:\n{listed}"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Options()
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=9100, help="0: a free one (%(default)s)")
    parser.add_argument("--port-file", type=Path, help="file that gets the port once listening")
    parser.add_argument("--ttft", default=default.ttft_s, help="first token after s (%(default)s)")
    parser.add_argument("--rate", default=default.rate, help="tokens/s, 0: no pace (%(default)s)")
    parser.add_argument("--tokens", default=default.tokens, help="per answer (%(default)s)")
    parser.add_argument("--seed", default=default.seed, help="of the text (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
