"""Settings in files, as containers hand secrets over."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from server.settings import EX_CONFIG, Settings, fault_lines, load_settings
from tests.support.production import PRODUCTION

NAMES = ("jwt_secret", "session_secret", "admin_token")


def a_settings(**values: object) -> Settings:
    """Return settings of these values, and of the files that they name."""
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]  # by name, as the environment gives them


def kept(folder: Path, **values: str) -> Path:
    """Write a file for each value, with the line end that editors add."""
    folder.mkdir(exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n", encoding="utf-8")
    return folder


def test_production_starts_with_secrets_that_are_in_files_alone(tmp_path: Path) -> None:
    secrets = {name: PRODUCTION[name] for name in NAMES}
    others = {name: value for name, value in PRODUCTION.items() if name not in NAMES}

    settings = a_settings(secrets_dir=kept(tmp_path, **secrets), **others)

    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == PRODUCTION["jwt_secret"]
    assert not any(secret in repr(settings) for secret in secrets.values())


def test_the_environment_comes_before_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(kept(tmp_path, openai_model="filed", port="9000")))
    monkeypatch.setenv("OPENAI_MODEL", "told")

    settings = a_settings()

    assert settings.openai_model == "told"
    assert settings.port == 9000


def test_files_that_are_swapped_as_a_whole_are_followed(tmp_path: Path) -> None:
    kept(tmp_path / "..2026", redis_url="redis://one")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "redis_url").symlink_to("..data/redis_url")

    settings = a_settings(secrets_dir=tmp_path)

    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://one"


def test_a_weak_secret_in_a_file_is_one_line_without_it(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        a_settings(secrets_dir=kept(tmp_path, jwt_secret="hunter2"))  # noqa: S106

    [line] = fault_lines(caught.value)

    assert line.startswith("JWT_SECRET: must have at least")
    assert "hunter2" not in line


def test_an_empty_file_is_no_setting(tmp_path: Path) -> None:
    names = ("openai_api_key", "oidc_client_secret", "jwt_previous_secrets", "redis_url")

    settings = a_settings(secrets_dir=kept(tmp_path, **dict.fromkeys(names, "")))

    assert [getattr(settings, name) for name in names] == [None] * len(names)


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        a_settings(secrets_dir=tmp_path / "none")

    [line] = fault_lines(caught.value)

    assert line.startswith("SECRETS_DIR")
    assert a_settings(secrets_dir="").secrets_dir is None


def test_a_file_that_holds_no_text_ends_the_start_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jwt_secret").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))

    with pytest.raises(SystemExit) as caught:
        load_settings()

    assert caught.value.code == EX_CONFIG
    assert capsys.readouterr().err.count("\n") == 1
