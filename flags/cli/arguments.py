"""The command line: commands, their arguments, and what to say of wrong ones."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

from flags.cli import values

PROGRAM = "python -m flags"
EX_USAGE = 2

DEFAULT_STEPS = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0)
DEFAULT_EVERY_S = 600.0

_EPILOG = """\
Flags are in the Redis of REDIS_URL (environment, or .env of this folder), else in the file
DATA_DIR/flags.json. Exit status: 0 done; 1 refused, not found, or somebody else changed it;
2 wrong usage; 69 the flags cannot be reached or read; 78 bad configuration; 130 interrupted."""

_Commands: TypeAlias = "Callable[..., _Parser]"
"""What adds a command's parser."""


class _Parser(argparse.ArgumentParser):
    """Tells faults in one line that leaves passwords out."""

    def error(self, message: str) -> NoReturn:
        said = values.without_credentials(message)
        self.exit(EX_USAGE, f"{self.prog}: {said} (see {self.prog} --help)\n")


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
    return arguments


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROGRAM,
        description="Look at feature flags and change them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common(parser, redis=None, file=None, json=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True).add_parser
    _add_looking(commands)
    _add_changing(commands)
    _add_ramp(commands)
    _add_documents(commands)
    return parser


def _add_common(parser: argparse.ArgumentParser, **defaults: object) -> None:
    """Options that stand before or after the command; only the first place has defaults."""

    def default(name: str) -> object:
        return defaults.get(name, argparse.SUPPRESS)

    parser.add_argument(
        "--redis", metavar="URL", type=_not_empty(str), default=default("redis"), help="flags in it"
    )
    parser.add_argument(
        "--file", metavar="PATH", type=_not_empty(Path), default=default("file"), help="or in it"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=default("json"),
        help="answer with one JSON document on standard output",
    )


def _not_empty(kind: Callable[[str], object]) -> Callable[[str], object]:
    def read(given: str) -> object:
        if not given:
            raise argparse.ArgumentTypeError("must not be empty")
        return kind(given)

    return read


def _add(commands: _Commands, name: str, help_: str, *, key: str | None = None) -> _Parser:
    description = f"{help_[:1].upper()}{help_[1:]}."
    parser = commands(name, help=help_, description=description, allow_abbrev=False)
    _add_common(parser)
    if key is not None:
        parser.add_argument("key", metavar=key, type=values.text)
    return parser


def _add_change(commands: _Commands, name: str, help_: str) -> _Parser:
    parser = _add(commands, name, help_, key="KEY")
    _add_why(parser)
    parser.add_argument(
        "--if-version",
        metavar="N",
        type=values.version,
        help="only if the flag is at this version; 0: only if there is none",
    )
    return parser


def _add_why(parser: _Parser) -> None:
    parser.add_argument(
        "--why", metavar="TEXT", type=values.why, default="", help="the reason, for the history"
    )


def _add_looking(commands: _Commands) -> None:
    _add(commands, "list", "show all flags")
    _add(commands, "get", "show a flag", key="KEY")
    explain = _add(commands, "explain", "show what a unit gets of a flag, and why", key="KEY")
    explain.add_argument("unit", metavar="UNIT", type=values.text, help="a user's or guest's id")
    explain.add_argument(
        "--attribute",
        metavar="NAME=JSON",
        type=values.attribute,
        action="append",
        default=[],
        help="what rules may ask for; a bare word is a string; may be repeated",
    )
    history = _add(commands, "history", "show who changed a flag, when and why", key="KEY")
    history.add_argument(
        "--limit", metavar="N", type=values.count, default=20, help="changes shown (20)"
    )
    history.add_argument("--segment", action="store_true", help="KEY is a segment's name")
    _add(commands, "segments", "show all segments")
    _add(commands, "segment", "show a segment", key="NAME")


def _add_changing(commands: _Commands) -> None:
    set_ = _add_change(commands, "set", "give a flag's rollout another percentage")
    set_.add_argument("percentage", metavar="PERCENTAGE", type=values.percentage)
    kill = _add_change(commands, "kill", "give everybody the off variant, above every rule")
    kill.add_argument("--abort", action="store_true", help="stop turns in flight as well")
    _add_change(commands, "end-kill", "evaluate a killed flag again, at 0 per cent")
    _add_change(commands, "delete", "delete a flag; its history stays")


def _add_ramp(commands: _Commands) -> None:
    ramp = _add_change(commands, "ramp", "raise a flag's percentage step by step")
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


def _add_documents(commands: _Commands) -> None:
    put = _add_change(commands, "put", "create a flag or replace its whole definition")
    put.add_argument("source", metavar="FILE", help="the definition in JSON; - is standard input")
    import_ = _add(commands, "import", "create or replace all flags and segments of a document")
    import_.add_argument("source", metavar="FILE", help="as export writes it; - is standard input")
    _add_why(import_)
    export = _add(commands, "export", "write all flags and segments as a document")
    export.add_argument(
        "destination", metavar="FILE", nargs="?", default="-", help="else standard output"
    )
