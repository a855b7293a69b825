"""A real server tells operators what is amiss: once, and without delaying anybody."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from tests.e2e.operators import FLAGS, STREAMING, Operator, operated_server
from tests.support.chat import log_of, until
from tests.support.receiver import HANG, Receiver, receiving
from tests.support.redis import running_redis
from tests.support.server import ROOT, running_server

CANARY = "canary-secret"


async def kill(operator: Operator, key: str = "streaming") -> None:
    """Kill a flag for everybody."""
    done = await operator.http.post(f"{FLAGS}/{key}/kill", json={"reason": "it burns"})
    assert done.status_code == 200, done.text


def headings(receiver: Receiver) -> list[str]:
    """Return the first lines of what came."""
    return [text.splitlines()[0] for text in receiver.texts]


@pytest.mark.long
async def test_a_kill_and_its_end_are_told_and_no_log_names_the_address(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        operated_server(
            tmp_path, alert_webhook_url=receiver.url, alert_name="shop", log_level="debug"
        ) as operator,
    ):
        await kill(operator)
        await receiver.until(lambda texts: len(texts) == 1)
        await operator.http.delete(f"{STREAMING}/kill", params={"reason": "put out"})
        await receiver.until(lambda texts: len(texts) == 2)
        await until(lambda: log_of(operator.server).count("alert.sent") == 2)
        figures = (await operator.http.get("/metrics")).text
        log = log_of(operator.server)

    assert headings(receiver) == [
        "[shop] warning: The flag streaming is killed.",
        "[shop] info: The flag streaming is no longer killed.",
    ]
    assert 'chat_alerts_total{channel="webhook",outcome="sent"} 2.0' in figures
    assert CANARY not in log


@pytest.mark.long  # it is looked for every 5 s
async def test_a_kill_on_this_machine_alone_is_told(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        operated_server(tmp_path, alert_webhook_url=receiver.url),
    ):
        (tmp_path / "killed-flags").write_text("streaming\n", encoding="ascii")
        await receiver.until(lambda texts: len(texts) == 1)

    assert headings(receiver) == ["[chatstream] warning: The flag streaming is killed."]
    assert "on this machine" in receiver.texts[0]


@pytest.mark.long
async def test_a_webhook_that_hangs_delays_no_turn_and_no_stop(tmp_path: Path) -> None:
    async with (
        receiving(*[HANG] * 10) as receiver,
        operated_server(tmp_path, alert_webhook_url=receiver.url) as operator,
    ):
        await operator.put(f"{FLAGS}/other", {"type": "bool"})
        await kill(operator, "other")
        await receiver.until(lambda texts: len(texts) == 1)

        with anyio.fail_after(10):
            states = [await operator.server.run_turn() for _ in range(5)]
        operator.server.signal(signal.SIGTERM)

        assert await operator.server.exit_code() == 0
    assert [state["status"] for state in states] == ["completed"] * 5


@pytest.mark.services
@pytest.mark.long
async def test_two_workers_send_one_message(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as redis:
        async with AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(receiving())
            settings = {
                "redis_url": redis.url,
                "admin_token": "t" * 32,
                "alert_webhook_url": receiver.url,
            }
            one, other = [
                await stack.enter_async_context(operated_server(tmp_path / name, **settings))
                for name in "ab"
            ]
            for key in ("first", "second"):
                await one.put(f"{FLAGS}/{key}", {"type": "bool"})
            await kill(one)
            await receiver.until(lambda texts: len(texts) == 1)
            await other.until_streaming(kill=True)
            await one.http.delete(f"{STREAMING}/kill", params={"reason": "put out"})

            # A sign of each worker: it has looked at all that came before.
            (tmp_path / "a" / "killed-flags").write_text("first\n", encoding="ascii")
            (tmp_path / "b" / "killed-flags").write_text("second\n", encoding="ascii")
            await receiver.until(
                lambda texts: {"first", "second"} <= {text.split()[4] for text in texts}
            )

    told = sorted(line.removeprefix("[chatstream] ") for line in headings(receiver))
    assert told == [
        "info: The flag streaming is no longer killed.",
        "warning: The flag first is killed.",
        "warning: The flag second is killed.",
        "warning: The flag streaming is killed.",
    ]


@pytest.mark.long
async def test_a_model_that_is_gone_is_told(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))
        receiver = await stack.enter_async_context(receiving())
        settings = {
            "openai_base_url": f"http://127.0.0.1:{nobody.getsockname()[1]}/v1",
            "openai_max_retries": 0,
            "alert_webhook_url": receiver.url,
        }
        server = await stack.enter_async_context(running_server(tmp_path, **settings))
        for _ in range(12):
            await server.run_turn()
        texts = await receiver.until(lambda texts: len(texts) == 2, within_s=120)

    assert [line.partition("] ")[2] for line in headings(receiver)] == [
        "critical: Turns fail: the service is unhealthy.",
        "critical: The model primary keeps failing and is left alone.",
    ]
    assert "error_rate is 1, above 0.1; 12 samples in 300 s." in texts[0]
    assert "Last error: upstream_unavailable." in texts[1]


async def run_test_alert(folder: Path, **settings: str) -> tuple[int, str]:
    """Run the command; return its status and all that it says."""
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - handed on to the child, not a setting
        "HOME": str(folder),
        "DATA_DIR": str(folder / "data"),
        "PYTHONWARNINGS": "error",
        "LOG_LEVEL": "info",
        **settings,
    }
    command = [sys.executable, "-m", "server", "test-alert"]
    with anyio.fail_after(30):
        done = await anyio.run_process(
            command, cwd=ROOT, env=environment, stderr=subprocess.STDOUT, check=False
        )
    return done.returncode, done.stdout.decode()


@pytest.mark.long
async def test_a_test_message_says_what_became_of_it_on_each_way(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        mail = {
            "ALERT_SMTP_URL": f"smtp://127.0.0.1:{nobody.getsockname()[1]}",
            "ALERT_EMAIL_FROM": "alerts@example.com",
            "ALERT_EMAIL_TO": "ann@example.com",
        }
        async with receiving() as receiver:
            status, said = await run_test_alert(tmp_path, ALERT_WEBHOOK_URL=receiver.url, **mail)

    assert status == 1
    assert "webhook: sent\nemail: not sent: cannot be reached, or hung up\n" in said
    assert headings(receiver) == ["[chatstream] info: A test: messages reach you."]
    assert CANARY not in said
