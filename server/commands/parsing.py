"""The command line: which commands there are, and what each takes."""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.commands import create_admin, revoke, rotate_keys, stores, users
from server.services.alerts import send_test
from server.settings import Settings

Run = Callable[[Settings, Namespace], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what it does in a line, what it takes, and what does it."""

    about: str
    run: Run
    add_arguments: Callable[[ArgumentParser], None] | None = None


async def _test_alert(settings: Settings, given: Namespace) -> int:
    del given
    return await send_test(settings)


COMMANDS = {
    "verify-indexes": Command("check that the stores have the indexes queries need", stores.run),
    "test-alert": Command("send operators a message", _test_alert),
    "create-admin": Command(
        "create an admin, or make a user one", create_admin.run, create_admin.add_arguments
    ),
    "users": Command("list who has an account", users.run, users.add_arguments),
    "revoke": Command("end a user's sessions, or an API key", revoke.run, revoke.add_arguments),
    "rotate-keys": Command(
        "make new secrets; nobody is signed out", rotate_keys.run, rotate_keys.add_arguments
    ),
}
"""Those that need settings, and end by themselves."""


def parse(arguments: list[str] | None = None) -> Namespace:
    """Return what was asked for: `command`, and what it takes; ends the process on a mistake."""
    parser = ArgumentParser(prog="chatstream", description="A streaming LLM chat server.")
    parser.set_defaults(command="serve")
    commands = parser.add_subparsers(metavar="command", title="commands")
    for name, about in (
        ("serve", "serve; this is the default"),
        ("settings", "print the table of all settings"),
        ("openapi", "print the API's description, as /openapi.json has it"),
    ):
        commands.add_parser(name, help=about, description=about).set_defaults(command=name)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.about, description=command.about)
        sub.set_defaults(command=name)
        if command.add_arguments is not None:
            command.add_arguments(sub)
    return parser.parse_args(arguments)
