"""What `validate-env` finds in settings, and in what they lead to."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio import to_thread

from operations import validate_env
from tests.support.certificates import self_signed
from tests.support.oidc_provider import CLIENT_ID, REDIRECT_URL, running_provider
from tests.support.production import PRODUCTION
from tests.support.redis import RedisServer, running_redis


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def environment(tmp_path: Path, *lines: str, **settings: str) -> None:
    """Write `.env`."""
    path = tmp_path / ".env"
    given = [f"{name.upper()}={value}" for name, value in settings.items()]
    path.write_text("\n".join([*given, *lines]), encoding="utf-8")
    path.chmod(0o600)


def found(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, str]]:
    """Return the exit status, and each finding as `level: what was said`."""
    status = validate_env.main(["--json", *options])
    told = json.loads(capsys.readouterr().out)
    return status, {each["name"]: f"{each['level']}: {each['said']}" for each in told["findings"]}


def test_with_nothing_set_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    status, told = found(capsys)

    assert status == 0
    assert told["APP_ENV"].startswith("warn")


def test_every_setting_that_cannot_be_used_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment(tmp_path, app_env="production", max_readers="no", jwt_secret="weak-and-short")  # noqa: S106  # a bad one

    status, told = found(capsys)

    assert status == 78
    assert set(told) >= {"MAX_READERS", "JWT_SECRET", "SESSION_SECRET", "ADMIN_TOKEN"}
    assert "weak-and-short" not in str(told)


def test_production_is_looked_at_more_closely(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment(tmp_path, "ALOWED_HOSTS=x", **PRODUCTION)

    status, told = found(capsys)

    assert status == 0
    assert told["ALLOWED_HOSTS"] == "ok: chat.example.com"
    assert told["TRUSTED_PROXIES"].startswith("warn")
    assert told["ALOWED_HOSTS"].endswith("ALLOWED_HOSTS?")
    assert not any(value in str(told) for value in PRODUCTION.values() if "made-up" in value)


def test_settings_that_others_can_read_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment(tmp_path, "LOG_LEVEL=info")
    (tmp_path / ".env").chmod(0o644)

    status, told = found(capsys)

    assert (status, "chmod 600" in told[".env"]) == (1, True)


def test_stores_that_do_not_answer_fail_without_their_passwords(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.probes.TIMEOUT_S", 0.3)
    environment(
        tmp_path,
        mongodb_uri="mongodb://me:hidden@127.0.0.1:9/x",
        redis_url="redis://:hidden@127.0.0.1:9",
        cache_redis_url="redis://:hidden@127.0.0.1:9",
    )

    status, told = found(capsys)

    assert status == 1
    for name in ("MONGODB_URI", "REDIS_URL", "CACHE_REDIS_URL"):
        assert told[name].startswith("fail"), told[name]
    assert "hidden" not in str(told)


@pytest.mark.services
def test_each_redis_has_to_fit_what_it_is_for(
    tmp_path: Path, redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    environment(tmp_path, redis_url=redis.url, cache_redis_url=redis.url)
    _, without_limit = found(capsys)
    with redis.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "yes")
    status, evicting = found(capsys)

    assert without_limit["REDIS_URL"].startswith("ok")
    assert without_limit["REDIS_URL persistence"].startswith("warn")
    assert (
        without_limit["CACHE_REDIS_URL"] == "fail: maxmemory-policy is noeviction: set allkeys-lru"
    )
    assert status == 1
    assert "set noeviction" in evicting["REDIS_URL"]
    assert evicting["CACHE_REDIS_URL"].startswith("ok")
    assert evicting["REDIS_URL persistence"].startswith("ok")


def test_speech_credentials_are_a_service_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key.json"
    environment(tmp_path, google_cloud_credentials=str(key))
    said = [found(capsys)[1]["speech"]]
    for text in ("{", "{}", '{"type": "service_account"}'):
        key.write_text(text, encoding="ascii")
        said.append(found(capsys)[1]["speech"])
    whole = {"type": "service_account", "client_email": "a@b", "private_key": "k", "token_uri": "u"}
    key.write_text(json.dumps(whole), encoding="ascii")
    key.chmod(0o600)
    said.append(found(capsys)[1]["speech"])

    assert [line.partition(":")[0] for line in said] == ["fail"] * 4 + ["ok"]


def test_the_list_of_words_is_read_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "words"
    environment(tmp_path, moderation_words_file=str(path))
    said = [found(capsys)[1]["MODERATION_WORDS_FILE"]]
    path.write_text("unspeakable | a | b\n", encoding="utf-8")
    said.append(found(capsys)[1]["MODERATION_WORDS_FILE"])
    path.write_text("unspeakable | insult\n", encoding="utf-8")
    said.append(found(capsys)[1]["MODERATION_WORDS_FILE"])

    assert [line.partition(":")[0] for line in said] == ["fail", "fail", "ok"]
    assert "unspeakable" not in str(said)


async def test_a_provider_has_to_tell_its_keys_and_to_lead_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_provider() as provider:
        given = {
            "oidc_issuer": provider.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_redirect_url": REDIRECT_URL,
        }
        environment(tmp_path, **given)
        good = await to_thread.run_sync(found, capsys)
        environment(tmp_path, **given, allowed_hosts="chat.example.com")
        elsewhere = await to_thread.run_sync(found, capsys)
    environment(tmp_path, **given)
    gone = await to_thread.run_sync(found, capsys)

    assert (good[0], good[1]["OIDC_ISSUER"].partition(":")[0]) == (0, "ok"), good
    assert elsewhere[1]["OIDC_REDIRECT_URL"].startswith("fail")
    assert gone[1]["OIDC_ISSUER"].startswith("fail")


def test_a_certificate_that_ends_soon_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    self_signed(tmp_path)
    (tmp_path / "none.pem").write_text("nothing", encoding="ascii")
    paths = [str(tmp_path / "certificate.pem"), str(tmp_path / "none.pem")]

    status, told = found(capsys, "--certificate", paths[0], "--certificate", paths[1])

    assert status == 1
    assert told[f"certificate {paths[0]}"].startswith("warn: good until")
    assert told[f"certificate {paths[1]}"] == "fail: there is no certificate in it"
