"""The command line: commands, their arguments, and what to say of wrong ones."""

import argparse
from collections.abc import Sequence

from flags.cli import values
from flags.cli.parsers import Commands, Parser, add, add_change, add_common, add_why
from flags.cli.rollouts.arguments import add_rollout

PROGRAM = "python -m flags"

DEFAULT_STEPS = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0)
DEFAULT_EVERY_S = 600.0

_EPILOG = """\
Flags are in the Redis of REDIS_URL (environment, or .env of this folder), else in the file
DATA_DIR/flags.json. Exit status: 0 done; 1 refused, not found, or somebody else changed it;
2 wrong usage; 69 the flags cannot be reached or read; 78 bad configuration; 130 interrupted."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for; a fault of it ends the process with status 2."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.redis is not None and arguments.file is not None:
        parser.error("--redis and --file exclude each other: name one")
    if arguments.command == "ramp":
        *first, arguments.last = arguments.percentages
        if len(first) > 1 or (first and first[0] >= arguments.last):
            parser.error("a ramp is from a percentage to a higher one: KEY [FROM] TO")
        arguments.first = first[0] if first else None
    if arguments.command == "rollout":
        arguments.command = f"rollout-{arguments.action}"
    if arguments.command == "rollout-watch" and arguments.json:
        parser.error("watch is for people; rollout status --json is for machines")
    return arguments


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Look at feature flags and change them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_common(parser, redis=None, file=None, json=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True).add_parser
    _add_looking(commands)
    _add_changing(commands)
    _add_ramp(commands)
    add_rollout(commands)
    _add_documents(commands)
    return parser


def _add_looking(commands: Commands) -> None:
    add(commands, "list", "show all flags")
    add(commands, "get", "show a flag", key="KEY")
    explain = add(commands, "explain", "show what a unit gets of a flag, and why", key="KEY")
    explain.add_argument("unit", metavar="UNIT", type=values.text, help="a user's or guest's id")
    explain.add_argument(
        "--attribute",
        metavar="NAME=JSON",
        type=values.attribute,
        action="append",
        default=[],
        help="what rules may ask for; a bare word is a string; may be repeated",
    )
    history = add(commands, "history", "show who changed a flag, when and why", key="KEY")
    history.add_argument(
        "--limit", metavar="N", type=values.count, default=20, help="changes shown (20)"
    )
    kinds = history.add_mutually_exclusive_group()
    kinds.add_argument("--segment", action="store_true", help="KEY is a segment's name")
    kinds.add_argument("--rollout", action="store_true", help="of the flag's guarded rollout")
    add(commands, "segments", "show all segments")
    add(commands, "segment", "show a segment", key="NAME")


def _add_changing(commands: Commands) -> None:
    set_ = add_change(commands, "set", "give a flag's rollout another percentage")
    set_.add_argument("percentage", metavar="PERCENTAGE", type=values.percentage)
    kill = add_change(commands, "kill", "give everybody the off variant, above every rule")
    kill.add_argument("--abort", action="store_true", help="stop turns in flight as well")
    add_change(commands, "end-kill", "evaluate a killed flag again, at 0 per cent")
    add_change(commands, "delete", "delete a flag; its history stays")


def _add_ramp(commands: Commands) -> None:
    ramp = add_change(commands, "ramp", "raise a flag's percentage step by step")
    ramp.usage = f"{PROGRAM} ramp KEY [FROM] TO [--steps 1,5,10] [--every 10m] [option ...]"
    ramp.description = (
        "Raise a flag's percentage step by step, waiting between. It never goes down. Ctrl-C stops"
        " it and leaves the flag at its last step; the same command goes on from there. It stops by"
        " itself when somebody else changes or kills the flag."
    )
    ramp.add_argument(
        "percentages",
        metavar="[FROM] TO",
        nargs="+",
        type=values.percentage,
        help="the last percentage; before it, the first (else the lowest step above today's)",
    )
    ramp.add_argument(
        "--steps",
        type=values.steps,
        default=DEFAULT_STEPS,
        help="percentages on the way (1,5,10,25,50,100)",
    )
    ramp.add_argument(
        "--every",
        metavar="DURATION",
        type=values.duration_s,
        default=DEFAULT_EVERY_S,
        help="the time between two steps, as in 30s, 10m or 1h (10m)",
    )


def _add_documents(commands: Commands) -> None:
    put = add_change(commands, "put", "create a flag or replace its whole definition")
    put.add_argument("source", metavar="FILE", help="the definition in JSON; - is standard input")
    import_ = add(commands, "import", "create or replace all flags and segments of a document")
    import_.add_argument("source", metavar="FILE", help="as export writes it; - is standard input")
    add_why(import_)
    export = add(commands, "export", "write all flags and segments as a document")
    export.add_argument(
        "destination", metavar="FILE", nargs="?", default="-", help="else standard output"
    )
