"""From the command line to an exit status: parse, open, run one command, answer."""

import getpass
import os
import signal
import socket
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from io import TextIOWrapper
from typing import TextIO

import anyio
import structlog

from flags.cli import changing, documents, looking
from flags.cli.arguments import parse
from flags.cli.invocation import (
    EX_CONFIG,
    EX_SIGNAL,
    EX_UNAVAILABLE,
    REFUSED,
    Invocation,
    RefusedError,
)
from flags.cli.output import Answer, as_json, printable
from flags.cli.parsers import EX_USAGE
from flags.cli.place import (
    ConfigurationError,
    Place,
    Settings,
    choose_place,
    open_store,
    read_settings,
)
from flags.cli.ramp import ramp
from flags.cli.rollouts import acting, reading
from flags.cli.rollouts.watch import watch
from flags.cli.values import without_credentials
from flags.errors import (
    FlagNotFoundError,
    FlagsError,
    FlagStoreError,
    FlagStoreUnavailableError,
    VersionConflictError,
)

COMMAND_S = 8.0
"""A command is given up after this, whatever it waits for; a ramp and a watch wait on purpose."""

_WARNING = 30
_UNWRITTEN = "The answer could not be written: standard output takes no more."

Command = Callable[[Invocation], Awaitable[Answer]]

COMMANDS: Mapping[str, Command] = {
    "list": looking.list_flags,
    "get": looking.get_flag,
    "explain": looking.explain_decision,
    "history": looking.show_history,
    "segments": looking.list_segments,
    "segment": looking.get_segment,
    "set": changing.set_percentage,
    "kill": changing.kill,
    "end-kill": changing.end_kill,
    "delete": changing.delete,
    "ramp": ramp,
    "rollout-start": acting.start,
    "rollout-pause": acting.pause,
    "rollout-resume": acting.resume,
    "rollout-approve": acting.approve,
    "rollout-status": reading.status,
    "rollout-watch": watch,
    "rollout-replay": reading.replay,
    "put": documents.put,
    "import": documents.import_document,
    "export": documents.export_document,
}
_LOOKING = frozenset(
    {"list", "get", "explain", "history", "segments", "segment", "export"}
    | {"rollout-status", "rollout-watch", "rollout-replay"}
)
_ASKING_SETTINGS = frozenset({"explain", "rollout-start"})
_UNBOUNDED = frozenset({"ramp", "rollout-watch"})
_GIVEN: Mapping[str, Callable[[str], object]] = {
    "put": documents.read_definition,
    "import": documents.read_document,
}
"""What reads the FILE of a command, before its time begins to run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit status."""
    # Whatever a flag holds can be printed, whatever the terminal's encoding is.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None where the caller closed it
            stream.reconfigure(errors="backslashreplace")
    arguments = parse(argv)
    _configure_log()
    try:
        answer = _answered(arguments)
    except KeyboardInterrupt:
        said = "Interrupted: if it was a change, it may have been made; look before you repeat it."
        answer = _refusal("interrupted", said, EX_SIGNAL + signal.SIGINT)
    is_written = _write(as_json(answer.document) if arguments.json else answer.text)
    for fault in (answer.fault, "" if is_written else _UNWRITTEN):
        if fault and sys.stderr:
            sys.stderr.write(f"{fault}\n")
    return answer.status if is_written else answer.status or REFUSED


def _write(text: str) -> bool:
    """Write to standard output, and say whether it was taken; who stops to read has seen enough."""
    if sys.stdout is None:
        return True
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Python's own flush at the end must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return isinstance(error, BrokenPipeError)
    return True


def _answered(arguments: Namespace) -> Answer:
    """Return the command's answer; every fault that has a name is one."""
    try:
        settings = _settings(arguments)
        place = choose_place(arguments.redis, arguments.file, settings)
    except ConfigurationError as error:
        return _refusal("configuration_invalid", str(error), EX_CONFIG)
    try:
        if arguments.command in _GIVEN:
            arguments.given = _GIVEN[arguments.command](arguments.source)
        say = partial(_say, sys.stderr if arguments.json else sys.stdout)
        invocation = Invocation(arguments, open_store(place), place, settings, _who(), say)
        return anyio.run(_carried_out, invocation)
    except ConfigurationError as error:
        status = EX_USAGE if error.is_usage else EX_CONFIG
        return _refusal("configuration_invalid", str(error), status)
    except RefusedError as error:
        return _refusal(error.code, str(error), REFUSED)
    except FlagStoreError as error:
        return _refusal(error.code, _lost(error, arguments, place), EX_UNAVAILABLE)
    except FlagsError as error:
        return _refusal(error.code, _said(error, place), REFUSED)


def _settings(arguments: Namespace) -> Settings:
    """Return the service's settings; who names a place need not be able to read them."""
    is_placed = arguments.redis is not None or arguments.file is not None
    if is_placed and arguments.command not in _ASKING_SETTINGS:
        return Settings()
    return read_settings()


async def _carried_out(invocation: Invocation) -> Answer:
    arguments = invocation.arguments
    is_bounded = arguments.command not in _UNBOUNDED
    try:
        with anyio.fail_after(COMMAND_S if is_bounded else None):
            return await COMMANDS[arguments.command](invocation)
    except TimeoutError:
        raise FlagStoreUnavailableError(f"no answer within {COMMAND_S:g} s") from None
    finally:
        await invocation.store.close()


def _said(error: FlagsError, place: Place) -> str:
    """Return what is wrong, and what to do."""
    match error:
        case FlagNotFoundError():
            return f"There is no flag {error.key!r} in {place.shown}; `list` shows those that are."
        case VersionConflictError():
            return f"Somebody changed it: {error}; look at it, then repeat it for that version."
        case _:
            return f"Refused: {error}."


def _lost(error: FlagStoreError, arguments: Namespace, place: Place) -> str:
    said = f"The flags in {place.shown} cannot be used: {str(error).rstrip('.')}."
    if not error.retryable:
        return said
    if arguments.command not in _LOOKING:
        said = f"{said} The change may have been made: look before you repeat it."
    return said if place.path else f"{said} --redis or --file name another place."


def _refusal(code: str, said: str, status: int) -> Answer:
    said = without_credentials(printable(said))
    return Answer({"error": {"code": code, "detail": said}}, "", status, said)


def _say(stream: TextIO | None, said: str) -> None:
    # Nobody may be listening any more; what is being done goes on.
    if stream is None:
        return
    with suppress(OSError):
        stream.write(f"{said}\n")
        stream.flush()


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        name = f"uid-{os.getuid()}"
    return f"cli:{name}@{socket.gethostname()}"


def _configure_log() -> None:
    """Send warnings, such as of a definition that cannot be read, to standard error."""
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.make_filtering_bound_logger(_WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
