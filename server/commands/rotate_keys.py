"""`rotate-keys`: new secrets, while what the old ones signed stays good."""

import secrets
from argparse import ArgumentParser, Namespace
from pathlib import Path

from pydantic import SecretStr

from server.auth.kept_secrets import rotate_kept_secret
from server.commands.accounts import OK, noted, opened_accounts, refuse, say
from server.services import StartError
from server.services.secrets import kept_at
from server.settings import Settings

SECRETS = ("jwt_secret", "session_secret")


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes: nothing."""
    del parser


async def run(settings: Settings, given: Namespace) -> int:
    """Rotate what is kept under DATA_DIR, tell how to rotate what is set; return the status."""
    del given
    kept = [name for name in SECRETS if getattr(settings, name) is None]
    for name in kept:
        _rotate(kept_at(settings, name))
    if kept:
        await _note(settings, kept)
    told = [name for name in SECRETS if name not in kept]
    if told:
        _tell(settings, told)
    return OK


def _rotate(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        rotate_kept_secret(path)
    except OSError as error:
        raise StartError(f"{path} cannot be changed: {error.strerror}.") from None
    say(f"{path} is new; what the former one signed stays good. Restart the server.")


async def _note(settings: Settings, names: list[str]) -> None:
    """Write it down, behind the fact: one that leaked has to go where no store answers, too."""
    try:
        async with (
            opened_accounts(settings, may_make=True) as accounts,
            noted(accounts, "secrets.rotated", "server", details={"names": names}),
        ):
            pass
    except StartError as error:
        refuse(f"The audit log does not have it: {error}")


def _tell(settings: Settings, names: list[str]) -> None:
    """Print what to set, step by step: no process may meet what it cannot check."""
    new = {name: secrets.token_urlsafe(32) for name in names}
    say("Secrets that are set cannot be changed from here. Nobody is signed out if you")
    say("1. have every server know the new ones, and restart them one after another:")
    for name in names:
        former = _former(settings, name)
        say(f"   {_previous(name).upper()}={','.join([new[name], *former])}")
    say("2. then have them sign with the new ones, and restart them one after another:")
    for name in names:
        configured: SecretStr = getattr(settings, name)
        say(f"   {name.upper()}={new[name]}")
        former = [configured.get_secret_value(), *_former(settings, name)]
        say(f"   {_previous(name).upper()}={','.join(former)}")
    say("3. and take the former ones out once what they signed has ended: access tokens after")
    say("   ACCESS_TOKEN_S, sign-ins after SESSION_MAX_S, guests' cookies after 400 days.")
    say("A secret that leaked is taken out at once: whoever it signed for signs in again.")


def _previous(name: str) -> str:
    return name.replace("_secret", "_previous_secrets")


def _former(settings: Settings, name: str) -> list[str]:
    listed: SecretStr | None = getattr(settings, _previous(name))
    value = "" if listed is None else listed.get_secret_value()
    return [one for one in map(str.strip, value.split(",")) if one]
