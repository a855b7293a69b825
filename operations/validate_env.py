"""`scripts/validate-env`: what is wrong with the settings, and with what they lead to."""

import argparse
import difflib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values

from operations.credentials import certificate_of_file, certificate_of_host, service_account
from operations.findings import Finding, fail, ok, show, show_json, skip, status, summary, warn
from operations.probes import cache, mongodb, redis, words
from operations.providers import model, oidc
from operations.settings import DEFAULT, add_option, read
from server.settings import EX_CONFIG, Settings

MIN_FREE_BYTES = 1 << 30
_OTHERS = 0o077


def main(arguments: list[str]) -> int:
    """Parse the command line, look at everything; return the exit status."""
    given = _parser().parse_args(arguments)
    # Before root becomes somebody else: keys and chains are often root's alone.
    certificates = [certificate_of_file(path) for path in given.certificate]
    settings = read(given.env_file)
    if not isinstance(settings, Settings):
        _tell(iter(settings), as_json=given.json)
        return EX_CONFIG
    return status(_tell(_looked_at(settings, given, certificates), as_json=given.json))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="validate-env",
        description="Look at every setting, and at what the settings lead to: MongoDB, both Redis,"
        " the model, speech, certificates. Nothing is changed and no secret is shown.",
        epilog="Exit status: 0 nothing failed (there may be warnings), 1 something did, 2 wrong"
        " usage, 78 a setting cannot be used.",
    )
    add_option(parser)
    parser.add_argument(
        "--ask", action="store_true", help="ask the model something; a provider counts it"
    )
    parser.add_argument(
        "--certificate", type=Path, action="append", default=[], help="a chain as PEM; repeatable"
    )
    parser.add_argument(
        "--host", action="append", default=[], metavar="HOST[:PORT]", help="whose TLS to look at"
    )
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")
    return parser


def _tell(findings: Iterator[Finding], *, as_json: bool) -> list[Finding]:
    listed = []
    for found in findings:
        listed.append(found)
        if not as_json:
            show(found)
    if as_json:
        show_json(listed)
    else:
        sys.stdout.write(f"{summary(listed)}\n")
    return listed


def _looked_at(
    settings: Settings, given: argparse.Namespace, certificates: list[Finding]
) -> Iterator[Finding]:
    yield ok("settings", f"{len(Settings.model_fields)} settings can be used")
    yield from _environment_file(given.env_file or DEFAULT)
    yield from _data_dir(settings.data_dir)
    if settings.app_env == "production":
        yield from _production(settings)
    else:
        yield warn("APP_ENV", "development: secrets are made, guests let in, no name checked")
    yield from mongodb(settings)
    yield from redis(settings)
    yield cache(settings)
    yield model(settings, ask=given.ask)
    yield _speech(settings)
    yield words(settings)
    yield oidc(settings)
    yield from certificates
    for host in given.host:
        yield certificate_of_host(host)
    if not given.certificate and not given.host:
        yield skip("certificate", "none was named: --certificate PATH, or --host HOST")


def _secrets(settings: Settings) -> Iterator[Finding]:
    yield ok("secrets", "JWT_SECRET, SESSION_SECRET, ADMIN_TOKEN are set, long and not alike")
    for name in ("jwt_previous_secrets", "session_previous_secrets"):
        if former := getattr(settings, name):
            count = len(former.get_secret_value().split(","))
            yield ok(name.upper(), f"{count} former: take them out once what they signed has ended")


def _environment_file(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield skip(str(path), "there is none; the environment alone counts")
        return
    mode = path.stat().st_mode & 0o777
    if mode & _OTHERS:
        yield fail(str(path), f"others can read it (mode {mode:o}): chmod 600 {path}")
    else:
        yield ok(str(path), f"mode {mode:o}")
    known = {name.upper() for name in Settings.model_fields}
    for name in dotenv_values(path):
        if name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, 1)
            hint = f"; {near[0]}?" if near else ""
            yield warn(name, f"is no setting, and is not read{hint}")


def _data_dir(folder: Path) -> Iterator[Finding]:
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield fail("DATA_DIR", f"{nearest} cannot be written to by this user")
        return
    free = shutil.disk_usage(nearest).free
    said = f"{folder}, {free / (1 << 30):.1f} GiB free"
    yield ok("DATA_DIR", said) if free >= MIN_FREE_BYTES else warn("DATA_DIR", f"{said}: make room")


def _production(settings: Settings) -> Iterator[Finding]:
    yield from _secrets(settings)
    if settings.allowed_hosts:
        yield ok("ALLOWED_HOSTS", ", ".join(settings.allowed_hosts))
    else:
        yield warn("ALLOWED_HOSTS", "unset: any name is answered; name the service's own")
    if settings.trusted_proxies:
        yield ok("TRUSTED_PROXIES", ", ".join(settings.trusted_proxies))
    else:
        yield warn("TRUSTED_PROXIES", "unset: behind a proxy all callers have one address")
    if not settings.rate_limit_enabled:
        yield warn("RATE_LIMIT_ENABLED", "false: nobody's calls are counted")
    if settings.allow_guests:
        yield warn("ALLOW_GUESTS", "true: whoever comes may use the model")
    if not (settings.alert_webhook_url or settings.alert_email_to):
        yield warn("ALERT_WEBHOOK_URL", "neither it nor ALERT_EMAIL_TO is set: nobody is told")


def _speech(settings: Settings) -> Finding:
    path = settings.google_credentials
    if settings.tts_engine == "off":
        return skip("speech", "TTS_ENGINE=off")
    if path is None:
        return skip("speech", "no credentials of Google's are set")
    return service_account(path)
