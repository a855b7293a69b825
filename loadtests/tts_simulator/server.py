"""The simulator's server: methods, socket, signals.

Beside Google's service there is one of its own, for tests: `/simulator.v1.Simulator/Stats` answers
with JSON (see `stats.py`), `/simulator.v1.Simulator/Reset` forgets. Their messages are plain bytes.
"""

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.cloud import texttospeech_v1 as tts

from loadtests.tts_simulator.options import Options
from loadtests.tts_simulator.service import Speech
from loadtests.tts_simulator.stats import Stats

_MAX_CALLS = 10_000
_GRACE_S = 0.2


class AddressError(OSError):
    """The address cannot be had."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one. The port is written to `port_file`, if given."""

    host: str
    port: int
    port_file: Path | None = None


async def serve(address: Address, options: Options) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        AddressError: The address cannot be had.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    stats = Stats()
    server = grpc.aio.server(maximum_concurrent_rpcs=_MAX_CALLS, options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_google(Speech(options, stats)), _own(stats)))
    try:
        port = server.add_insecure_port(f"{_shown(address.host)}:{address.port}")
    except RuntimeError as exc:
        raise AddressError(f"{address.host}:{address.port} cannot be had") from exc
    await server.start()
    _announce(address, port, options)
    try:
        await stopped.wait()
    finally:
        await server.stop(_GRACE_S)
        _forget(address)


def _google(speech: Speech) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        "google.cloud.texttospeech.v1.TextToSpeech",
        {
            "SynthesizeSpeech": grpc.unary_unary_rpc_method_handler(
                speech.synthesize,
                request_deserializer=tts.SynthesizeSpeechRequest.deserialize,
                response_serializer=tts.SynthesizeSpeechResponse.serialize,
            ),
            "StreamingSynthesize": grpc.stream_stream_rpc_method_handler(
                speech.stream,
                request_deserializer=tts.StreamingSynthesizeRequest.deserialize,
                response_serializer=tts.StreamingSynthesizeResponse.serialize,
            ),
            "ListVoices": grpc.unary_unary_rpc_method_handler(
                speech.list_voices,
                request_deserializer=tts.ListVoicesRequest.deserialize,
                response_serializer=tts.ListVoicesResponse.serialize,
            ),
        },
    )


def _own(stats: Stats) -> grpc.GenericRpcHandler:
    async def view(_request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        return stats.view()

    async def reset(_request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        stats.reset()
        return b"{}"

    return grpc.method_handlers_generic_handler(
        "simulator.v1.Simulator",
        {
            "Stats": grpc.unary_unary_rpc_method_handler(view),
            "Reset": grpc.unary_unary_rpc_method_handler(reset),
        },
    )


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _announce(address: Address, port: int, options: Options) -> None:
    if address.port_file is not None:
        # Renamed into place, so that whoever sees the file sees all of it.
        draft = address.port_file.with_name(f"{address.port_file.name}.new")
        draft.write_text(f"{port}\n", encoding="ascii")
        draft.replace(address.port_file)
    print(
        f"tts simulator on http://{_shown(address.host)}:{port} (gRPC; {options.latency_s:g} s + "
        f"{options.latency_per_audio_s:g} s per second of audio, seed {options.seed})",
        flush=True,
    )


def _forget(address: Address) -> None:
    if address.port_file is not None:
        with contextlib.suppress(OSError):
            address.port_file.unlink()
