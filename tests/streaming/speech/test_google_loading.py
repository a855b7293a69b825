"""What the Google speaker loads, when and where; and credentials as far as they go offline."""

import asyncio
import json
import os
import sys
from pathlib import Path

import anyio
import pytest
import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs

from streaming.speech.base import Utterance
from streaming.speech.errors import SpeechError, SpeechRefusedError, SpeechUnavailableError
from streaming.speech.google import GoogleSpeaker, credentials_fault
from streaming.speech.google.access import CredentialsFile
from streaming.speech.google.keys import load_credentials
from tests.support.tts_simulator import running_tts_simulator

PATIENCE_S = 10.0

IMPORTS = """
import sys, threading, anyio
seen = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("grpc", "google.cloud.texttospeech_v1"):
            seen.append((name, threading.current_thread() is threading.main_thread()))
sys.meta_path.insert(0, Watch())
from streaming.speech.google import GoogleSpeaker, credentials_fault
speaker = GoogleSpeaker(credentials_path=None, endpoint="http://127.0.0.1:9")
credentials_fault(None, None)
assert not seen, seen
async def open_and_close():
    await speaker.open()
    await speaker.close()
anyio.run(open_and_close)
print(sorted(seen))
"""


async def test_the_client_package_is_loaded_late_and_beside_the_loop() -> None:
    with anyio.fail_after(60):
        ended = await anyio.run_process(
            [sys.executable, "-c", IMPORTS], cwd=Path(__file__).parents[3]
        )

    assert "[('google.cloud.texttospeech_v1', False), ('grpc', False)]" in ended.stdout.decode()


def test_it_runs_on_the_servers_event_loop() -> None:
    async def speak_and_cancel() -> float:
        async with running_tts_simulator() as simulator:
            speaker = GoogleSpeaker(credentials_path=None, endpoint=simulator.endpoint)
            with anyio.fail_after(PATIENCE_S):
                audio = await speaker.speak(Utterance("A sentence to say."))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(speaker.speak, Utterance("Say fault:never please."))
                await simulator.wait_for(lambda seen: seen["in_flight"] == 1)
                tasks.cancel_scope.cancel()
            await simulator.wait_for(lambda seen: seen["cancelled"] == 1)
            await speaker.close()
            return audio.duration_s

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(speak_and_cancel()) == pytest.approx(1.2, abs=0.03)


async def test_one_load_serves_all_who_open_at_once() -> None:
    async with running_tts_simulator() as simulator:
        speaker = GoogleSpeaker(credentials_path=None, endpoint=simulator.endpoint)
        with capture_logs() as logs, anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(speaker.open)
                tasks.start_soon(speaker.open)
                tasks.start_soon(speaker.speak, Utterance("A sentence to say."))
        await speaker.close()

    assert [entry["event"] for entry in logs] == ["speech.google_opened"]


async def test_what_is_closed_while_it_loads_stays_closed(tmp_path: Path) -> None:
    path = tmp_path / "pipe.json"
    os.mkfifo(path)  # a file that takes its time
    speaker = GoogleSpeaker(credentials_path=path, endpoint="https://127.0.0.1:9")
    errors = []

    async def load() -> None:
        try:
            await speaker.open()
        except SpeechError as exc:
            errors.append(exc.code)

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load)
            tasks.start_soon(load)
            pipe = await _writer_of(path)
            await speaker.close()
            os.write(pipe, json.dumps(USER).encode())
            os.close(pipe)

    assert errors == ["speech_unavailable"] * 2


async def _writer_of(path: Path) -> int:
    """Return a named pipe, opened once somebody reads it."""
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            await anyio.sleep(0.01)


USER = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
OTHER_CLOUD = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
}


@pytest.mark.parametrize(
    ("info", "module"),
    [
        ({}, "google.auth.compute_engine.credentials"),
        (USER, "google.oauth2.credentials"),
        (
            {
                "type": "impersonated_service_account",
                "source_credentials": USER,
                "service_account_impersonation_url": (
                    "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
                    "speaker@project.iam.gserviceaccount.com:generateAccessToken"
                ),
            },
            "google.auth.impersonated_credentials",
        ),
        (OTHER_CLOUD | {"credential_source": {"file": "/token"}}, "google.auth.identity_pool"),
        (
            OTHER_CLOUD | {"credential_source": {"executable": {"command": "/bin/token"}}},
            "google.auth.pluggable",
        ),
        (
            OTHER_CLOUD
            | {
                "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
                "credential_source": {
                    "environment_id": "aws1",
                    "regional_cred_verification_url": "https://sts.{region}.amazonaws.com",
                },
            },
            "google.auth.aws",
        ),
    ],
)
def test_every_kind_of_credentials_is_loaded_offline(info: dict[str, object], module: str) -> None:
    assert type(load_credentials(CredentialsFile(info))).__module__ == module


def a_key_file(folder: Path, *, key: str | None = None) -> Path:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "key.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": "speaker@project.iam.gserviceaccount.com",
                "private_key": key or pem.decode(),
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        )
    )
    return path


async def test_a_key_is_only_sent_over_tls(tmp_path: Path) -> None:
    async with running_tts_simulator() as simulator:  # speaks no TLS
        path = a_key_file(tmp_path)
        endpoint = f"https://127.0.0.1:{simulator.port}"
        assert credentials_fault(path, endpoint) is None
        speaker = GoogleSpeaker(credentials_path=path, endpoint=endpoint)

        await speaker.open()
        with anyio.fail_after(PATIENCE_S * 2), pytest.raises(SpeechUnavailableError):
            await speaker.speak(Utterance("A sentence to say."))

        assert (await simulator.stats())["synthesize"] == 0
        await speaker.close()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("nothing", "is not PEM"),
        ("-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n", "could not be loaded"),
    ],
)
async def test_a_bad_key_is_told_without_it(tmp_path: Path, key: str, said: str) -> None:
    speaker = GoogleSpeaker(credentials_path=a_key_file(tmp_path, key=key), endpoint=None)

    with anyio.fail_after(PATIENCE_S), pytest.raises(SpeechRefusedError, match=said) as raised:
        await speaker.speak(Utterance("A sentence to say."))

    assert "SECRET" not in str(raised.value)
    assert raised.value.__cause__ is None
    await speaker.close()


async def test_a_missing_file_is_told(tmp_path: Path) -> None:
    speaker = GoogleSpeaker(credentials_path=tmp_path / "missing.json", endpoint=None)

    with anyio.fail_after(PATIENCE_S), pytest.raises(SpeechRefusedError, match="No such file"):
        await speaker.open()
    with anyio.fail_after(PATIENCE_S), pytest.raises(SpeechError, match="No such file"):
        await speaker.voices()


def test_an_endpoint_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="endpoint"):
        GoogleSpeaker(credentials_path=None, endpoint="ftp://speech.internal")
