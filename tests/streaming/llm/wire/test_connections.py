"""Which connection a request is sent on, and what becomes of it."""

import os
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx2
import pytest

from streaming.llm.transport import HttpTransport
from tests.streaming.llm.wire.peer import Link, Peer, a_peer
from tests.support.certificates import self_signed

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
FOREVER = httpx2.Limits(keepalive_expiry=None)


@asynccontextmanager
async def a_client(
    limits: httpx2.Limits = FOREVER, *, connect_s: float = 5.0
) -> AsyncGenerator[httpx2.AsyncClient, None]:
    timeout = httpx2.Timeout(None, connect=connect_s)
    with anyio.fail_after(20):
        async with httpx2.AsyncClient(transport=HttpTransport(limits), timeout=timeout) as client:
            yield client


async def answers(link: Link) -> None:
    """Answer whatever is asked."""
    while await link.request():
        await link.send(ANSWER)


async def ask(client: httpx2.AsyncClient, peer: Peer, body: bytes = b"x") -> str:
    """Return the whole answer to a POST."""
    return (await client.post(peer.url, content=body)).text


async def test_a_connection_is_used_again_and_the_others_beside_it() -> None:
    async with a_peer(answers) as peer, a_client() as client:
        for _ in range(3):
            assert await ask(client, peer) == "hi"
        assert peer.links == 1

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask, client, peer)
        assert peer.links == 3

        await ask(client, peer)
        assert peer.links == 3


async def test_the_one_that_was_used_last_is_used_first() -> None:
    used: list[int] = []

    async def counts(link: Link) -> None:
        while await link.request():
            used.append(link.number)
            await link.send(ANSWER)

    async with a_peer(counts) as peer, a_client() as client:
        async with client.stream("POST", peer.url) as one, client.stream("POST", peer.url) as two:
            assert await one.aread() == await two.aread() == b"hi"
        for _ in range(3):
            await ask(client, peer)

    assert used == [1, 2, 2, 2, 2]


async def test_no_more_are_kept_than_may_be() -> None:
    limits = httpx2.Limits(max_keepalive_connections=1)
    async with a_peer(answers) as peer, a_client(limits) as client:
        async with client.stream("POST", peer.url) as one, client.stream("POST", peer.url) as two:
            assert await one.aread() == await two.aread() == b"hi"
        await peer.left.wait()
        await ask(client, peer)

    assert peer.links == 2


async def test_one_that_is_kept_long_is_closed() -> None:
    limits = httpx2.Limits(keepalive_expiry=0.02)
    async with a_peer(answers) as peer, a_client(limits) as client:
        await ask(client, peer)
        await peer.left.wait()
        await ask(client, peer)

    assert peer.links == 2


async def test_one_that_is_in_use_again_does_not_become_too_old() -> None:
    async def takes_long(link: Link) -> None:
        await link.request()
        await link.send(ANSWER)
        await link.request()
        await link.send(ANSWER.removesuffix(b"i"))
        await anyio.sleep(0.1)
        await link.send(b"i")
        await link.until_left()

    async with a_peer(takes_long) as peer, a_client(httpx2.Limits(keepalive_expiry=0.05)) as client:
        for _ in range(2):
            assert await ask(client, peer) == "hi"

    assert peer.links == 1


async def test_one_that_the_server_closed_meanwhile_is_not_used() -> None:
    async def answers_once(link: Link) -> None:
        await link.request()
        await link.send(ANSWER)

    async with a_peer(answers_once) as peer, a_client() as client:
        await ask(client, peer)
        await peer.left.wait()
        await ask(client, peer)

    assert (peer.links, len(peer.requests)) == (2, 2)


async def test_one_on_which_something_unasked_comes_is_not_used() -> None:
    async def goes_on(link: Link) -> None:
        await link.request()
        await link.send(ANSWER, ANSWER.replace(b"hi", b"no"))
        await link.until_left()

    async with a_peer(goes_on) as peer, a_client() as client:
        assert await ask(client, peer) == "hi"
        await peer.left.wait()
        assert await ask(client, peer) == "hi"

    assert peer.links == 2


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_request_that_a_kept_connection_lost_is_sent_again_on_a_new_one(how: str) -> None:
    async def loses(link: Link) -> None:
        await link.request()
        await link.send(ANSWER)
        if link.number == 1:
            await link.request()
            if how == "reset":
                link.reset()
        else:
            await link.until_left()

    async with a_peer(loses) as peer, a_client() as client:
        await ask(client, peer)
        assert await ask(client, peer, b"second") == "hi"

    assert peer.links == 2
    assert [request.partition(b"\r\n\r\n")[2] for request in peer.requests] == [
        b"x", b"second", b"second",
    ]  # fmt: skip


async def test_what_a_kept_connection_loses_later_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model may have begun by then: that is for the retries above, which count and pay."""
    monkeypatch.setattr("streaming.llm.transport.LOST_WITHIN_S", 0.05)

    async def thinks(link: Link) -> None:
        await link.request()
        await link.send(ANSWER)
        await link.request()
        await anyio.sleep(0.2)

    async with a_peer(thinks) as peer, a_client() as client:
        await ask(client, peer)
        with pytest.raises(httpx2.ReadError):
            await ask(client, peer)

    assert (peer.links, len(peer.requests)) == (1, 2)


async def test_it_is_sent_again_once_and_not_on_another_that_was_kept() -> None:
    both = anyio.Event()

    async def loses(link: Link) -> None:
        await link.request()
        if len(peer.requests) == 2:
            both.set()
        if len(peer.requests) <= 2:
            await both.wait()
            await link.send(ANSWER)
            await link.request()

    async with a_peer(loses) as peer, a_client() as client:
        async with anyio.create_task_group() as group:
            group.start_soon(ask, client, peer)
            group.start_soon(ask, client, peer)
        with pytest.raises(httpx2.ReadError):
            await ask(client, peer)

    assert (peer.links, len(peer.requests)) == (3, 4)


@pytest.mark.parametrize("come", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"SSH-2.0\r\n"])
async def test_a_request_whose_answer_began_is_not_sent_again(come: bytes) -> None:
    async def begins(link: Link) -> None:
        await link.request()
        await link.send(ANSWER)
        await link.request()
        await link.send(come)

    async with a_peer(begins) as peer, a_client() as client:
        await ask(client, peer)
        with pytest.raises(httpx2.RequestError):
            await ask(client, peer)

    assert (peer.links, len(peer.requests)) == (1, 2)


async def test_a_request_that_a_new_connection_lost_is_not_sent_again() -> None:
    async def loses(link: Link) -> None:
        await link.request()

    async with a_peer(loses) as peer, a_client() as client:
        with pytest.raises(httpx2.ReadError):
            await ask(client, peer)

    assert (peer.links, len(peer.requests)) == (1, 1)


async def test_who_speaks_first_is_not_asked() -> None:
    async def greets(link: Link) -> None:
        await link.send(b"220 mail.example ESMTP\r\n")
        await link.until_left()

    async with a_peer(greets) as peer, a_client() as client:
        with pytest.raises(httpx2.RequestError):
            await ask(client, peer)


async def test_an_answer_that_is_left_early_is_cut_and_its_connection_not_used_again() -> None:
    async def goes_on(link: Link) -> None:
        await link.request()
        await link.send(ANSWER.replace(b"2\r\n", b"9\r\n"))
        await link.until_left()

    async with a_peer(goes_on) as peer, a_client() as client:
        for links in (1, 2):
            async with client.stream("POST", peer.url) as response:
                assert await anext(response.aiter_raw()) == b"hi"
            assert peer.links == links
        await peer.left.wait()


async def test_an_answer_may_come_before_all_of_the_request_has_left() -> None:
    """Such a connection has the rest of a request in it: nothing can follow that."""

    async def refuses(link: Link) -> None:
        await link.stream.receive()
        await link.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await may_read.wait()
        await link.until_left()

    may_read = anyio.Event()
    async with a_peer(refuses) as peer, a_client() as client:
        response = await client.post(peer.url, content=bytes(32_000_000))
        may_read.set()
        await peer.left.wait()

    assert (response.status_code, response.text) == (413, "no")


async def test_nothing_follows_a_long_request_that_was_refused() -> None:
    """Over TLS nobody tells how much of it has left: here all has, and it is cut all the same."""

    async def refuses(link: Link) -> None:
        while await link.request():
            await link.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")

    async with a_peer(refuses) as peer, a_client() as client:
        for body in (b"short", bytes(100_000), b"short"):
            assert await ask(client, peer, body) == "no"

    assert peer.links == 2


async def test_a_long_request_arrives_whole_at_a_server_that_is_slow() -> None:
    body = b"0123456789" * 800_000
    async with a_peer(answers) as peer, a_client() as client:
        assert await ask(client, peer, body) == "hi"

    assert peer.requests[0].endswith(b"\r\n\r\n" + body)


async def test_the_answer_to_head_has_no_body_whatever_it_says() -> None:
    async def tells(link: Link) -> None:
        head = (await link.request()).startswith(b"HEAD")
        await link.send(ANSWER.removesuffix(b"hi") if head else ANSWER)
        await link.until_left()

    async with a_peer(tells) as peer, a_client() as client:
        response = await client.head(peer.url)
        assert (response.headers["content-length"], response.content) == ("2", b"")
        assert await ask(client, peer) == "hi"

    assert peer.links == 2


async def test_a_line_break_in_a_field_is_not_sent() -> None:
    async with a_peer(answers) as peer, a_client() as client:
        for field in (b"one\r\nx: two", b"one\ntwo", b"one\0"):
            with pytest.raises(httpx2.LocalProtocolError):
                await client.post(peer.url, headers=[(b"x-key", field)])

    assert not peer.links


async def test_the_request_says_where_it_goes() -> None:
    async with a_peer(answers) as peer, a_client() as client:
        await client.post(peer.url + "a b?c=ä", headers={"Host": "other"}, content=b"x")
        await client.post(peer.url, content=b"x")

    assert peer.requests[0].startswith(b"POST /a%20b?c=%C3%A4 HTTP/1.1\r\n")
    assert b"\r\nHost: other\r\n" in peer.requests[0]
    assert b"\r\nHost: 127.0.0.1:%d\r\n" % peer.port in peer.requests[1]


async def test_an_address_of_version_six_is_one() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        async with a_peer(answers, host="::1") as peer, a_client() as client:
            url = f"http://[::1]:{peer.port}/"
            assert (await client.post(url, content=b"x")).text == "hi"
    except OSError:
        pytest.skip("no ::1")

    assert b"\r\nHost: [::1]:%d\r\n" % peer.port in peer.requests[0]


@pytest.mark.services
@pytest.mark.parametrize(
    ("named", "other"),
    [("IP:127.0.0.1", "DNS:localhost"), ("DNS:localhost", "IP:127.0.0.1")],
)
async def test_tls_asks_for_a_certificate_of_that_name(
    named: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = self_signed(tmp_path, named)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    async with a_peer(answers, context=context) as peer, a_client() as client:
        for _ in range(2):
            assert (
                await client.post(f"https://{named.partition(':')[2]}:{peer.port}/")
            ).text == "hi"
        with pytest.raises(httpx2.ConnectError):
            await client.post(f"https://{other.partition(':')[2]}:{peer.port}/")

    assert (peer.links, len(peer.requests)) == (2, 2)


@pytest.mark.services
async def test_tls_asks_for_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    async with a_peer(answers, context=self_signed(tmp_path)) as peer, a_client() as client:
        with pytest.raises(httpx2.ConnectError):
            await client.post(f"https://127.0.0.1:{peer.port}/")

    assert not peer.requests


@pytest.mark.services
async def test_giving_up_in_the_middle_of_the_handshake_closes_the_connection() -> None:
    async def listens(link: Link) -> None:
        await link.until_left()

    async with a_peer(listens) as peer, a_client(connect_s=0.2) as client:
        with pytest.raises(httpx2.ConnectTimeout):
            await client.post(f"https://127.0.0.1:{peer.port}/")
        await peer.left.wait()


@pytest.mark.services
async def test_a_handshake_that_takes_long_is_not_begun_with_other_addresses_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = self_signed(tmp_path, "DNS:localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    monkeypatch.setattr("streaming.llm.wire.connecting.NEXT_TRY_S", 0.05)
    resolved(monkeypatch, *["127.0.0.1"] * 3)
    async with a_peer(answers, context=context, shakes_after_s=0.3) as peer, a_client() as client:
        assert (await client.post(f"https://localhost:{peer.port}/")).text == "hi"

    assert peer.links == 1


@contextmanager
def silent(host: str, port: int) -> Iterator[None]:
    """Have an address take no connection, and refuse none."""
    with socket.socket() as listener, socket.socket() as one, socket.socket() as two:
        listener.bind((host, port))
        listener.listen(0)
        for waiting in (one, two):
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        yield


def resolved(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have every name stand for these addresses."""

    async def found(*_: object) -> list[str]:
        await anyio.lowlevel.checkpoint()
        return list(addresses)

    monkeypatch.setattr("streaming.llm.wire.connecting.Names.addresses_of", found)


async def test_an_address_that_refuses_leaves_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")
    async with a_peer(answers) as peer, a_client() as client:
        assert await ask(client, peer) == "hi"


async def test_an_address_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved(monkeypatch, "127.0.0.2", "127.0.0.1")
    before = sockets()
    async with a_peer(answers) as peer, a_client() as client:
        with silent("127.0.0.2", peer.port):
            assert await ask(client, peer) == "hi"
        assert peer.links == 1
    assert sockets() == before


async def test_names_whose_addresses_all_fail_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved(monkeypatch, "127.0.0.2", "127.0.0.3")
    async with a_peer(answers) as peer, a_client(connect_s=0.6) as client:
        with pytest.raises(httpx2.ConnectError):
            await ask(client, peer)
        with silent("127.0.0.2", peer.port), pytest.raises(httpx2.ConnectTimeout):
            await ask(client, peer)


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 70 + ".example"])
async def test_a_name_that_is_none_is_an_error(name: str) -> None:
    async with a_client() as client:
        with pytest.raises(httpx2.ConnectError):
            await client.post(f"http://{name}/")


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
async def test_giving_up_while_it_connects_leaves_nothing(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved(monkeypatch, *addresses)
    before = sockets()
    async with a_client() as client:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with silent("127.0.0.1", port), silent("127.0.0.2", port):
            with anyio.move_on_after(0.3):
                await client.post(f"http://a.example:{port}/")
        await anyio.lowlevel.checkpoint()
    assert sockets() == before


@pytest.mark.parametrize("come", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"])
async def test_giving_up_an_answer_closes_its_connection(come: bytes) -> None:
    asked = anyio.Event()

    async def stalls(link: Link) -> None:
        await link.request()
        if come:
            await link.send(come)
        asked.set()
        await link.until_left()

    async def wait_for_it(client: httpx2.AsyncClient, peer: Peer) -> None:
        async with client.stream("POST", peer.url) as response:
            await response.aread()

    before = sockets()
    async with a_peer(stalls) as peer, a_client() as client:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_it, client, peer)
            await asked.wait()
            group.cancel_scope.cancel()
        await peer.left.wait()
    assert sockets() == before


async def test_a_client_that_was_closed_has_closed_its_sockets() -> None:
    async with a_peer(answers) as peer, a_client() as client:
        await ask(client, peer)
        opened = sockets()
        await client.aclose()
        assert sockets() < opened


async def test_a_client_that_was_closed_leaves_no_connection() -> None:
    before = sockets()
    async with a_peer(answers) as peer, a_client() as client:
        for _ in range(2):
            await ask(client, peer)
        transport = client._transport  # what outlives it, as an answer that is being read does
        async with client.stream("POST", peer.url) as response:
            await transport.aclose()
            assert await response.aread() == b"hi"
        await peer.left.wait()
    assert sockets() == before


def sockets() -> int:
    """Return how many this process has open."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("counts sockets through /proc")
    count = 0
    for name in os.listdir(folder):  # noqa: PTH208  a Path would follow what may just be closing
        with suppress(OSError):
            count += str((folder / name).readlink()).startswith("socket:")
    return count
