"""The proxy's own faults: tests that rest on it must be able to trust it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tests.support.fault_proxy import TO_SERVER, FaultProxy, running_proxy

_WAIT_S = 5.0
_SOON_S = 0.15
"""Long enough to see that nothing comes: a proxy that lets it through needs a millisecond."""

_MORE_THAN_SOCKETS_HOLD = 512 << 20


async def _echo(stream: SocketStream) -> None:
    async with stream:
        with suppress(anyio.BrokenResourceError):
            async for data in stream:
                await stream.send(data.upper())
            await stream.send(b"END")


@asynccontextmanager
async def _before_an_echo() -> AsyncGenerator[FaultProxy, None]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port: int = listener.extra_attributes[SocketAttribute.local_port]()
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, _echo)
        async with running_proxy(port) as proxy:
            yield proxy
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _connected(proxy: FaultProxy) -> AsyncGenerator[SocketStream, None]:
    with anyio.fail_after(_WAIT_S):
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            yield stream


async def _said(stream: SocketStream, data: bytes) -> bytes:
    await stream.send(data)
    return await _heard(stream, len(data))


async def _heard(stream: SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive()
    return data


async def _hears_nothing(stream: SocketStream) -> bool:
    with anyio.move_on_after(_SOON_S):
        await stream.receive()
        return False
    return True


async def test_bytes_pass_both_ways_and_are_counted() -> None:
    async with _before_an_echo() as proxy, _connected(proxy) as stream:
        big = b"x" * 300_000

        assert await _said(stream, b"hello") == b"HELLO"
        await stream.send(big)
        assert await _heard(stream, len(big)) == big.upper()
        assert proxy.counts.bytes == {"to_server": 300_005, "to_client": 300_005}
        assert (proxy.counts.connections, proxy.counts.open) == (1, 1)


async def test_an_end_is_handed_on_while_the_other_way_goes_on() -> None:
    async with _before_an_echo() as proxy, _connected(proxy) as stream:
        await stream.send(b"bye")
        await stream.send_eof()

        assert await _heard(stream, 6) == b"BYEEND"
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


@pytest.mark.parametrize("way", ["to_server", "to_client"])
async def test_a_delay_holds_one_way_and_keeps_the_order(way: str) -> None:
    async with _before_an_echo() as proxy, _connected(proxy) as stream:
        proxy.ways[way].delay_s = 0.2
        began = anyio.current_time()
        for piece in (b"a", b"b", b"c"):
            await stream.send(piece)

        assert await _heard(stream, 3) == b"ABC"
        assert anyio.current_time() - began >= 0.2


async def test_what_is_stalled_comes_once_it_is_healed() -> None:
    async with _before_an_echo() as proxy, _connected(proxy) as stream:
        proxy.stall()
        await stream.send(b"held")
        assert await _hears_nothing(stream)

        await proxy.heal()

        assert await _heard(stream, 4) == b"HELD"


async def test_a_stalled_connection_holds_no_more_than_its_bound() -> None:
    async with (
        _before_an_echo() as proxy,
        await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
    ):
        proxy.stall()
        sent, is_blocked = 0, False
        while not is_blocked and sent < _MORE_THAN_SOCKETS_HOLD:
            with anyio.move_on_after(0.5) as waiting:
                await stream.send(bytes(1 << 20))
            sent += 1 << 20
            is_blocked = waiting.cancelled_caught

        assert is_blocked


async def test_dropped_replies_are_lost_and_the_connection_with_them() -> None:
    async with _before_an_echo() as proxy, _connected(proxy) as stream:
        proxy.drop()
        await stream.send(b"INCR")
        assert await _hears_nothing(stream)
        assert proxy.counts.bytes[TO_SERVER] == 4
        assert proxy.counts.dropped_bytes == 4

        await proxy.heal()

        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
        async with _connected(proxy) as another:
            assert await _said(another, b"again") == b"AGAIN"


async def test_a_cut_by_fin_is_an_end() -> None:
    async with _before_an_echo() as proxy, _connected(proxy) as stream:
        await _said(stream, b"hello")

        assert proxy.cut() == 1

        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


async def test_a_cut_by_rst_is_a_reset() -> None:
    async with _before_an_echo() as proxy, _connected(proxy) as stream:
        await _said(stream, b"hello")

        assert proxy.cut(is_reset=True) == 1

        with pytest.raises(anyio.BrokenResourceError) as caught:
            await stream.receive()
        assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_a_cut_leaves_the_way_open_for_the_next_connection() -> None:
    async with _before_an_echo() as proxy:
        async with _connected(proxy) as stream:
            await _said(stream, b"one")
            proxy.cut()
        async with _connected(proxy) as stream:
            assert await _said(stream, b"two") == b"TWO"
        assert (proxy.counts.connections, proxy.counts.cut) == (2, 1)


async def test_refused_are_new_connections_only_until_it_listens_again() -> None:
    async with _before_an_echo() as proxy, _connected(proxy) as stream:
        await _said(stream, b"hello")
        await proxy.refuse()

        with pytest.raises(OSError, match="failed") as caught:
            await anyio.connect_tcp("127.0.0.1", proxy.port)
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert await _said(stream, b"still here") == b"STILL HERE"

        await proxy.heal()
        async with _connected(proxy) as another:
            assert await _said(another, b"back") == b"BACK"


async def test_a_throttled_way_takes_its_time() -> None:
    async with _before_an_echo() as proxy, _connected(proxy) as stream:
        proxy.to_client.bytes_per_s = 20_000
        began = anyio.current_time()

        await _said(stream, b"x" * 4000)

        assert anyio.current_time() - began >= 0.2


async def test_a_server_that_is_gone_is_a_reset() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port: int = listener.extra_attributes[SocketAttribute.local_port]()
    await listener.aclose()
    async with running_proxy(port) as proxy:
        with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream, OSError)):
            async with _connected(proxy) as stream:
                await stream.receive()
        assert proxy.counts.unreachable == 1


async def test_nothing_is_left_when_it_ends() -> None:
    async with _before_an_echo() as proxy:
        async with _connected(proxy) as stream:
            await _said(stream, b"hello")
        with anyio.fail_after(_WAIT_S):
            while proxy.counts.open:  # noqa: ASYNC110  the last bytes are still under way
                await anyio.sleep(0.01)
    with pytest.raises(OSError, match="failed"):
        await anyio.connect_tcp("127.0.0.1", proxy.port)
