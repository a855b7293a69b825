"""A model behind TLS that nobody vouches for, and a model whose connection is reset."""

import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener

from loadtests.llm_simulator.prose import answer_text
from tests.e2e.conftest import ToldModel
from tests.e2e.told import next_event
from tests.support.chat import data_of, log_of
from tests.support.fault_proxy import running_proxy
from tests.support.machine import program
from tests.support.server import Server, running_server, text_of
from tests.support.simulator import running_simulator

pytestmark = pytest.mark.long


def certificate(folder: Path, name: str) -> Path:
    """Make a certificate that vouches for itself, and its key in the same file."""
    path = folder / "certificate.pem"
    command = [program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=model", "-addext", f"subjectAltName={name}"]
    subprocess.run(
        [*command, "-keyout", str(path), "-out", str(folder / "public.pem")],
        check=True,
        capture_output=True,
        timeout=20,
    )
    with path.open("ab") as file:
        file.write((folder / "public.pem").read_bytes())
    return path


@asynccontextmanager
async def server_of_tls_model(
    folder: Path, *, name: str = "IP:127.0.0.1", is_trusted: bool = False
) -> AsyncIterator[tuple[Server, ToldModel]]:
    """Run a model that speaks TLS, and a server that asks it."""
    pem = certificate(folder, name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    model = ToldModel()
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = plain.extra_attributes[SocketAttribute.local_port]()
    listener = TLSListener(plain, ssl_context=context, standard_compatible=False)
    settings: dict[str, object] = {
        "openai_base_url": f"https://127.0.0.1:{port}/v1",
        "openai_api_key": "not for everybody",
        "openai_max_retries": 1,
    }
    if is_trusted:
        settings["ssl_cert_file"] = folder / "public.pem"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, model.serve)
        async with running_server(folder / "data", **settings) as server:
            yield server, model
        tasks.cancel_scope.cancel()
        model.close()


@pytest.mark.services
@pytest.mark.fault(41)
@pytest.mark.parametrize(
    "fault",
    [{"is_trusted": False}, {"is_trusted": True, "name": "DNS:elsewhere.example"}],
    ids=["nobody vouches", "another name"],
)
async def test_a_model_that_is_not_trusted_fails_the_turn_and_is_told_nothing(
    tmp_path: Path, fault: dict[str, bool | str]
) -> None:
    is_trusted, name = bool(fault["is_trusted"]), str(fault.get("name", "IP:127.0.0.1"))
    async with server_of_tls_model(tmp_path, name=name, is_trusted=is_trusted) as (server, model):
        started = await server.start("A secret")
        end = (await server.all_events(started["turn_id"]))[-1]

        assert end.event == "turn.failed"
        assert data_of(end)["code"] == "upstream_unavailable"
        assert data_of(end)["retryable"] is True
        assert model.asked_nothing_more()
        assert "Traceback" not in log_of(server)
        assert "not for everybody" not in log_of(server)


@pytest.mark.services
async def test_a_model_behind_tls_that_is_trusted_answers(tmp_path: Path) -> None:
    async with server_of_tls_model(tmp_path, is_trusted=True) as (server, model):
        started = await server.start("Hello")
        await (await model.asked()).end("Trusted.")
        events = await server.all_events(started["turn_id"])

        assert (events[-1].event, text_of(events)) == ("turn.completed", "Trusted.")


@pytest.mark.fault(41)
async def test_an_answer_whose_connection_is_reset_is_gone_on_with(tmp_path: Path) -> None:
    async with running_simulator() as simulator, running_proxy(simulator.port) as proxy:
        settings = {
            "openai_base_url": f"http://127.0.0.1:{proxy.port}/v1",
            "openai_model": "sim:tokens=60,rate=100",
        }
        async with running_server(tmp_path, **settings) as server:
            started = await server.start("Hello")
            async with aclosing(server.events(started["turn_id"])) as events:
                before = [await next_event(events) for _ in range(10)]
                assert proxy.cut(is_reset=True) == 1
                rest = [event async for event in events]

            assert rest[-1].event == "turn.completed"
            assert text_of([*before, *rest]) == answer_text("Hello", tokens=60)
            assert "turn.reset" not in {event.event for event in rest}
            assert (await simulator.stats())["requests"] == 2
            assert "Traceback" not in log_of(server)
