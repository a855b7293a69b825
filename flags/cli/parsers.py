"""What the parsers of all commands have in common."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias

from flags.cli import values

EX_USAGE = 2

Commands: TypeAlias = "Callable[..., Parser]"
"""What adds a command's parser."""


class Parser(argparse.ArgumentParser):
    """Tells faults in one line that leaves passwords out."""

    def error(self, message: str) -> NoReturn:
        said = values.without_credentials(message)
        self.exit(EX_USAGE, f"{self.prog}: {said} (see {self.prog} --help)\n")


def add_common(parser: argparse.ArgumentParser, **defaults: object) -> None:
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


def add(commands: Commands, name: str, help_: str, *, key: str | None = None) -> Parser:
    """Add a command; `key` names what it is about, if it is about one thing."""
    description = f"{help_[:1].upper()}{help_[1:]}."
    parser = commands(name, help=help_, description=description, allow_abbrev=False)
    add_common(parser)
    if key is not None:
        parser.add_argument("key", metavar=key, type=values.text)
    return parser


def add_change(commands: Commands, name: str, help_: str) -> Parser:
    """Add a command that changes one flag."""
    parser = add(commands, name, help_, key="KEY")
    add_why(parser)
    parser.add_argument(
        "--if-version",
        metavar="N",
        type=values.version,
        help="only if the flag is at this version; 0: only if there is none",
    )
    return parser


def add_why(parser: Parser) -> None:
    """Let a command be given a reason."""
    parser.add_argument(
        "--why", metavar="TEXT", type=values.why, default="", help="the reason, for the history"
    )
