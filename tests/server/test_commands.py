"""What operators do from a shell."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest

from accounts.passwords import PasswordHasher
from accounts.sqlite import SqliteAccounts
from server.commands.parsing import COMMANDS, parse
from server.services import StartError
from server.services.secrets import ring
from server.settings import Settings
from storage.sqlite import SqliteDatabase
from tests.accounts.factories import a_session, a_user, an_admin, an_api_key

PASSWORD = "three wise owls"  # noqa: S105  # a test's
EMAIL = "ann@example.com"


class Shell:
    """Runs commands in this process, as `python -m server` does."""

    def __init__(
        self,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.settings = settings
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    async def __call__(self, *arguments: str, piped: str = "") -> tuple[int, str, str]:
        """Return the status, what was printed, and what was complained of."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO(piped))
        given = parse(list(arguments))
        status = await COMMANDS[given.command].run(self.settings, given)
        printed = self._capsys.readouterr()
        return status, printed.out, printed.err

    @asynccontextmanager
    async def accounts(self) -> AsyncIterator[SqliteAccounts]:
        """Open what the commands work on."""
        database = SqliteDatabase(self.settings.data_dir / "chat.db")
        accounts = SqliteAccounts(database)
        await accounts.open()
        yield accounts
        await database.close()

    async def audited(self) -> list[tuple[str, str, str]]:
        """Return what was written down: who, what, to whom; the oldest first."""
        async with self.accounts() as accounts:
            page = await accounts.audit.list(limit=100)
        return [(entry.who, entry.action, entry.subject) for entry in reversed(page.items)]


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(Settings(_env_file=None, data_dir=tmp_path / "data"), monkeypatch, capsys)


async def test_the_first_admin_is_created_with_a_password_that_is_piped_in(shell: Shell) -> None:
    status, printed, complaint = await shell(
        "create-admin", " Ann@Example.com", "--name", "Ann", piped=f"{PASSWORD}\nmore\n"
    )

    assert (status, complaint) == (0, "")
    async with shell.accounts() as accounts:
        user = await accounts.users.find(email=EMAIL)
    assert printed == f"{EMAIL} is an admin: {user.user_id}\n"
    assert (user.role, user.name, user.is_disabled) == ("admin", "Ann", False)
    assert await _is_password(user.password_hash, PASSWORD)
    assert await shell.audited() == [("cli", "user.created", user.user_id)]


async def test_a_generated_password_is_shown_once(shell: Shell) -> None:
    status, printed, _ = await shell("create-admin", EMAIL, "--generate")

    assert status == 0
    password = printed.splitlines()[0].removeprefix("Password, shown this once: ")
    async with shell.accounts() as accounts:
        user = await accounts.users.find(email=EMAIL)
    assert await _is_password(user.password_hash, password)


@pytest.mark.parametrize(
    ("piped", "why"),
    [("", "fewer than 8"), ("Password1\n", "common"), ("x" * 2000, "more than 128")],
)
async def test_a_password_that_is_none_creates_nobody(shell: Shell, piped: str, why: str) -> None:
    status, printed, complaint = await shell("create-admin", EMAIL, piped=piped)

    assert (status, printed) == (1, "")
    assert why in complaint
    assert await shell.audited() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("create-admin", EMAIL, "--generate", "--name", "\x1b[31mAnn"),
        ("create-admin", EMAIL, "--generate", "--name", "a" * 101),
        ("revoke", "\udcff"),
        ("revoke", EMAIL, "--why", "a\nb"),
        ("users", "--search", "\udcff"),
    ],
)
async def test_an_argument_that_is_no_line_of_text_is_a_mistake_of_use(
    shell: Shell, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as ended:
        await shell(*arguments)

    assert ended.value.code == 2
    assert "must be one line" in capsys.readouterr().err
    assert await shell.audited() == []


async def test_what_is_no_address_is_a_mistake_of_use(shell: Shell) -> None:
    status, _, complaint = await shell("create-admin", "ann", piped=PASSWORD)

    assert status == 2
    assert "one @" in complaint


async def test_a_user_is_made_an_admin_only_when_that_is_said(shell: Shell) -> None:
    async with shell.accounts() as accounts:
        user = await accounts.users.create(a_user(email=EMAIL))
        session = a_session(user_id=user.user_id)
        await accounts.sessions.begin(session)

    refused, _, complaint = await shell("create-admin", EMAIL, piped=PASSWORD)
    assert refused == 1
    assert "--promote" in complaint
    done, printed, _ = await shell("create-admin", EMAIL, "--promote")
    assert (done, printed.startswith(EMAIL)) == (0, True)

    async with shell.accounts() as accounts:
        stored = await accounts.users.get(user.user_id)
        ended = await accounts.sessions.get(session.session_id)
    assert stored == replace(user, role="admin", version=2)
    assert ended.end_reason == "role_changed"
    assert await shell.audited() == [("cli", "user.changed", user.user_id)]
    assert (await shell("create-admin", EMAIL, "--promote"))[0] == 1
    assert (await shell("create-admin", "bea@example.com", "--promote"))[0] == 1


async def test_users_are_listed_as_lines_and_as_json(shell: Shell) -> None:
    async with shell.accounts() as accounts:
        for number in range(103):
            await accounts.users.create(a_user(email=f"u{number:03}@example.com"))
        admin = await accounts.users.create(an_admin(email="zoe@example.org"))

    lines = (await shell("users"))[1].splitlines()
    assert len(lines) == 104
    assert lines[-1].split() == [admin.user_id, "admin", "2096-05-04", "zoe@example.org"]
    _, printed, _ = await shell("users", "--search", " ZOE@", "--json")
    assert json.loads(printed)["user_id"] == admin.user_id
    assert "argon2" not in printed
    assert (await shell("users", "--search", ".*"))[1] == ""


async def test_a_users_sessions_end_and_they_may_be_shut_out(shell: Shell) -> None:
    async with shell.accounts() as accounts:
        user = await accounts.users.create(a_user(email=EMAIL))
        for _ in range(2):
            await accounts.sessions.begin(a_session(user_id=user.user_id))

    assert (await shell("revoke", EMAIL, "--why", "Lost phone"))[1].endswith(": 2.\n")
    assert (await shell("revoke", user.user_id, "--disable"))[0] == 0

    async with shell.accounts() as accounts:
        assert (await accounts.users.get(user.user_id)).is_disabled
        newest, oldest = (await accounts.audit.list(limit=9)).items
    assert (oldest.action, oldest.why) == ("user.sessions_ended", "Lost phone")
    assert newest.details["is_disabled"] == {"before": False, "after": True}


async def test_the_last_admin_is_not_shut_out(shell: Shell) -> None:
    async with shell.accounts() as accounts:
        admin = await accounts.users.create(an_admin(email=EMAIL))
        session = a_session(user_id=admin.user_id)
        await accounts.sessions.begin(session)

    status, _, complaint = await shell("revoke", EMAIL, "--disable")

    assert (status, "another admin" in complaint) == (1, True)
    async with shell.accounts() as accounts:
        assert await accounts.sessions.get(session.session_id) == session
    assert [action for _, action, _ in await shell.audited()] == [
        "user.changed",
        "user.changed.undone",
    ]


async def test_an_api_key_is_revoked_by_its_id(shell: Shell) -> None:
    key = an_api_key()
    async with shell.accounts() as accounts:
        await accounts.api_keys.create(key)

    assert (await shell("revoke", key.key_id))[0] == 0

    async with shell.accounts() as accounts:
        revoked_at = (await accounts.api_keys.get(key.key_id)).revoked_at
    assert revoked_at is not None
    assert datetime.now(UTC) - revoked_at < timedelta(minutes=1)
    for nobody in ("key-nobody", "nobody@example.com", "a@b@c"):
        status, _, complaint = await shell("revoke", nobody)
        assert (status, "no such user" in complaint) == (1, True)


async def test_a_store_that_is_not_there_is_not_made_by_looking(shell: Shell) -> None:
    for command in (["users"], ["revoke", EMAIL]):
        with pytest.raises(StartError, match="set DATA_DIR"):
            await shell(*command)

    assert not shell.settings.data_dir.exists()


async def test_kept_secrets_are_rotated_and_the_former_ones_still_prove_something(
    shell: Shell,
) -> None:
    shell.settings.data_dir.mkdir()
    first = ring(shell.settings, "jwt_secret", former=None)

    assert (await shell("rotate-keys"))[0] == 0
    assert (await shell("rotate-keys"))[0] == 0

    newest, *former = ring(shell.settings, "jwt_secret", former=None)
    assert len(former) == 2
    assert former[-1:] == first
    assert newest not in former
    modes = {path.stat().st_mode & 0o777 for path in shell.settings.data_dir.glob("*secret*")}
    assert modes == {0o600}
    assert await shell.audited() == [("cli", "secrets.rotated", "server")] * 2


async def test_secrets_that_are_set_are_left_and_the_steps_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = {"jwt_secret": "Jk4lPo1i" * 5, "session_secret": "Xs9dFg2h" * 5}
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", **secrets)  # type: ignore[arg-type]  # by name
    shell = Shell(settings, monkeypatch, capsys)

    status, printed, _ = await shell("rotate-keys")

    assert status == 0
    assert not settings.data_dir.exists()
    first, second = _assigned(printed, "1."), _assigned(printed, "2.")
    for name, old in secrets.items():
        previous = name.replace("_secret", "_previous_secrets").upper()
        new = first[previous]
        assert second[name.upper()] == new != old
        assert second[previous] == old


@pytest.mark.parametrize("arguments", [["nonsense"], ["create-admin"], ["users", "--limit"]])
def test_a_mistake_of_use_ends_with_status_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)

    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "settings", *COMMANDS])
def test_every_command_says_what_it_is_for(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([command, "--help"])

    assert ended.value.code == 0
    assert f"usage: chatstream {command}" in capsys.readouterr().out
    assert parse([]).command == "serve"


def _assigned(printed: str, step: str) -> dict[str, str]:
    """Return what a step of the printed ones sets."""
    _, _, behind = printed.partition(f"{step} ")
    own = takewhile(lambda line: line.startswith("   "), behind.splitlines()[1:])
    return {name: value for name, _, value in (line.strip().partition("=") for line in own)}


async def _is_password(password_hash: str | None, password: str) -> bool:
    hasher = PasswordHasher(max_at_once=1)
    try:
        return await hasher.verify(password_hash, password)
    finally:
        hasher.close()
