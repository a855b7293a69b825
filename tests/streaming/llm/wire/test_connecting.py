"""Of several ways to a server one is left open, whatever happens meanwhile."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from streaming.llm.wire.connecting import Names, _first, connect
from streaming.llm.wire.idle import Origin


@asynccontextmanager
async def a_transport() -> AsyncGenerator[asyncio.Transport, None]:
    near, far = socket.socketpair()
    with far:
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=near
        )
        try:
            yield transport
        finally:
            transport.abort()
            await anyio.lowlevel.checkpoint()


async def test_of_two_that_connect_at_once_the_later_one_is_cut() -> None:
    begun, go = anyio.Event(), anyio.Event()
    async with a_transport() as one, a_transport() as two:

        async def late() -> asyncio.Transport:
            begun.set()
            with anyio.CancelScope(shield=True):  # a connection that is there is not undone
                await go.wait()
            return one

        async def early() -> asyncio.Transport:
            await begun.wait()
            go.set()
            return two

        with anyio.fail_after(5):
            assert await _first([late, early]) is two

        assert one.is_closing()
        assert not two.is_closing()


async def test_who_gives_up_as_it_connects_leaves_nothing_open() -> None:
    async with a_transport() as transport:
        with anyio.CancelScope() as scope:

            async def connects() -> asyncio.Transport:
                await anyio.lowlevel.checkpoint()
                scope.cancel()
                return transport

            await _first([connects])

        assert scope.cancelled_caught
        assert transport.is_closing()


async def test_addresses_take_turns_by_family_and_begin_with_the_preferred_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def found(*_: object, **__: object) -> list[object]:
        await anyio.lowlevel.checkpoint()
        six, four = socket.AF_INET6, socket.AF_INET
        both = [(six, "::1"), (six, "::2"), (six, "::3"), (four, "127.0.0.1"), (four, "127.0.0.2")]
        return [(family, socket.SOCK_STREAM, 6, "", (address, 80)) for family, address in both]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)

    addresses = await Names().addresses_of(Origin(is_tls=False, host="both.example", port=80))

    assert addresses == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


@pytest.mark.parametrize("literal", ["127.0.0.1", "::1", "fe80::1%lo"])
async def test_an_address_is_not_looked_up(literal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", None)

    assert await Names().addresses_of(Origin(is_tls=False, host=literal, port=80)) == [literal]


def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have every name stand for this machine a moment later; return those that are looked up."""
    asked: list[str] = []

    async def found(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        await anyio.sleep(0.05)
        if host == "none.example":
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    return asked


async def test_many_who_connect_at_once_look_a_name_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups = looked_up(monkeypatch)
    names, origin = Names(), Origin(is_tls=False, host="one.example", port=80)
    given_up = anyio.CancelScope()

    async def ask() -> None:
        assert await names.addresses_of(origin) == ["127.0.0.1"]

    async def gives_up() -> None:
        with given_up:
            await ask()

    async with anyio.create_task_group() as group:
        group.start_soon(gives_up)
        for _ in range(20):
            group.start_soon(ask)
        await anyio.sleep(0.01)
        given_up.cancel()
    await ask()
    assert lookups == ["one.example"]

    names.forget(origin)
    await ask()
    monkeypatch.setattr("streaming.llm.wire.connecting.KEEP_S", 0.0)
    names.forget(origin)
    await ask()
    await anyio.sleep(0.01)
    await ask()
    assert len(lookups) == 4


async def test_a_name_that_was_not_found_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups = looked_up(monkeypatch)
    names, origin = Names(), Origin(is_tls=False, host="none.example", port=80)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await names.addresses_of(origin)

    assert len(lookups) == 2


async def test_a_name_whose_addresses_cannot_be_reached_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups = looked_up(monkeypatch)
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        names = Names()
        origin = Origin(is_tls=False, host="gone.example", port=refusing.getsockname()[1])
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                await connect(origin, None, names)

    assert len(lookups) == 2
