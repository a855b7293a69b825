"""Readers on other workers: who is told of them, for how long, and what becomes of a turn then."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from history.model import TurnStatus
from streaming.commands import CancelTurn, FallSilent, encode
from streaming.event_log.redis.keys import readers_of
from streaming.llm.base import TokenSource
from streaming.readership import READ_FOR_S, TELL_EVERY_S
from streaming.speech.turn_speech import NOT_REQUESTED, SpeechLimits, SpeechSpec
from streaming.turn import Cancelled, LiveTurn
from tests.streaming.event_log.workers import until, workers
from tests.streaming.harness import WAIT_S, UnreachableHistory, follow, opened_history
from tests.streaming.sites import Site
from tests.support.redis import RedisServer, running_redis
from tests.support.sources import STOP, ScriptedTokenSource, StallingTokenSource
from tests.support.speakers import HANGS, ScriptedSpeaker

ABANDON_AFTER_S = 0.4
ENGLISH = SpeechSpec(language="en")
SENTENCES = ["The river was quiet. ", "Nobody was there."]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@asynccontextmanager
async def sites(
    server: RedisServer, folder: Path, *sources: TokenSource, **options: Any
) -> AsyncIterator[Sequence[Site]]:
    """Run a site for each model, over one record and one Redis."""
    with server.client() as client:
        client.flushall()
    names = [f"site {number}" for number in range(len(sources))]
    async with opened_history(folder) as history, workers(server.url, *names) as shared:
        made = [
            Site(worker, history, source, **options)
            for worker, source in zip(shared, sources, strict=True)
        ]
        async with anyio.create_task_group() as tasks:
            for site in made:
                await tasks.start(site.run)
            yield made
            tasks.cancel_scope.cancel()


async def read_elsewhere(holder: Site, reader: Site, turn: LiveTurn) -> None:
    """Read a turn elsewhere, and wait until its holder knows."""
    reader.runner.readership.joined(turn.spec.turn_id, elsewhere=True)
    await known(holder, turn)


async def known(holder: Site, turn: LiveTurn) -> None:
    """Wait until the holder of a turn has been told that it is read elsewhere."""

    async def is_known() -> bool:
        return any(who == turn.spec.turn_id and for_s > 0 for who, for_s in holder.worker.read)

    await until(is_known)


async def ended(turn: LiveTurn) -> None:
    with anyio.fail_after(WAIT_S):
        await turn.ended.wait()


async def test_a_turn_is_abandoned_once_no_worker_has_a_reader_of_it(
    server: RedisServer, tmp_path: Path
) -> None:
    options = {"abandon_after_s": ABANDON_AFTER_S}
    async with sites(server, tmp_path, StallingTokenSource(), StallingTokenSource(), **options) as (
        a,
        b,
    ):
        turn = await a.start()
        await read_elsewhere(a, b, turn)
        for _ in range(2):
            await ended(await a.start())  # nobody reads it: as long as it takes

        assert turn.outcome is None
        with anyio.fail_after(READ_FOR_S / 2):  # it is said, and not waited for
            b.runner.readership.left(turn.spec.turn_id)
            await turn.ended.wait()
        assert turn.outcome == Cancelled("abandoned")


async def test_readers_of_a_worker_that_tells_no_more_count_until_what_it_told_lapses(
    server: RedisServer, tmp_path: Path
) -> None:
    source = StallingTokenSource()
    options = {"abandon_after_s": ABANDON_AFTER_S}
    async with sites(server, tmp_path, source, source, **options) as (a, b):
        turn = await a.start()
        began = anyio.current_time()
        read = {turn.spec.turn_id}
        await b.worker.leases.tell_readers(read=read, left=(), for_s=2 * ABANDON_AFTER_S)
        await ended(turn)

        assert turn.outcome == Cancelled("abandoned")
        assert anyio.current_time() - began >= 3 * ABANDON_AFTER_S


async def test_of_two_workers_with_readers_one_may_lose_its_own(
    server: RedisServer, tmp_path: Path
) -> None:
    source = StallingTokenSource()
    options = {"abandon_after_s": ABANDON_AFTER_S}
    async with sites(server, tmp_path, source, source, source, **options) as (a, b, c):
        turn = await a.start()
        await read_elsewhere(a, b, turn)
        c.runner.readership.joined(turn.spec.turn_id, elsewhere=True)
        await until(lambda: _have_told(a, turn, workers=2))
        b.runner.readership.left(turn.spec.turn_id)
        await until(lambda: _have_told(a, turn, workers=1))
        await ended(await a.start())

        assert turn.outcome is None
        c.runner.readership.left(turn.spec.turn_id)
        await ended(turn)


async def _have_told(site: Site, turn: LiveTurn, *, workers: int) -> bool:
    return await site.worker.redis("ZCARD", readers_of(turn.spec.turn_id)) == workers


async def _knows_of_readers_elsewhere(site: Site, turn_id: str) -> bool:
    # Told with the first renewal at the latest, which is longer than turns live here unread.
    return site.runner.readership._watched[turn_id].elsewhere_until > 0


async def test_who_takes_a_turn_over_knows_its_readers_here_and_elsewhere(
    server: RedisServer, tmp_path: Path
) -> None:
    source = StallingTokenSource(["One, "])
    options = {"abandon_after_s": ABANDON_AFTER_S}
    async with sites(server, tmp_path, source, source, source, **options) as (a, b, c):
        turn = await a.start()
        turn_id = turn.spec.turn_id
        b.runner.readership.joined(turn_id, elsewhere=True)
        await read_elsewhere(a, c, turn)
        await a.share()
        await a.lose(turn_id)
        await b.take()
        mine = b.runner.find(turn_id)
        assert mine is not None

        await ended(await b.start())
        assert mine.outcome is None
        await until(lambda: _knows_of_readers_elsewhere(b, turn_id))
        b.runner.readership.left(turn_id)
        await until(lambda: _have_told(b, mine, workers=1))  # not as its own reader's worker
        await ended(await b.start())
        assert mine.outcome is None
        c.runner.readership.left(turn_id)
        await ended(mine)


@pytest.mark.long
async def test_no_turn_is_abandoned_while_nobody_can_tell_who_reads_it(
    server: RedisServer, tmp_path: Path
) -> None:
    source = StallingTokenSource()
    options = {"abandon_after_s": ABANDON_AFTER_S}
    async with sites(server, tmp_path, source, source, **options) as (a, b):
        turn = await a.start(speech=ENGLISH)
        await read_elsewhere(a, b, turn)
        assert turn.speech is not None
        server.pause()
        try:
            await until(lambda: _is_down(a))
            unread = await a.start()
            b.runner.readership.left(turn.spec.turn_id)
            a.runner.readership.read_elsewhere(turn.spec.turn_id, 0)
            a.runner.readership.read_elsewhere(turn.spec.turn_id, ABANDON_AFTER_S)  # it lapses
            await anyio.sleep(4 * ABANDON_AFTER_S)
            assert turn.speech.audience.absent_s(anyio.current_time()) == 0
            assert (turn.outcome, unread.outcome) == (None, None)
        finally:
            server.resume()
        with anyio.fail_after(WAIT_S):
            await turn.ended.wait()
            await unread.ended.wait()

        assert (turn.outcome, unread.outcome) == (Cancelled("abandoned"),) * 2


async def _is_down(site: Site) -> bool:
    return site.worker.log.is_down


async def test_readers_are_told_of_in_one_call_for_all_turns(
    server: RedisServer, tmp_path: Path
) -> None:
    async with sites(server, tmp_path, StallingTokenSource()) as (a,):
        turns = [f"turn_{number}" for number in range(10)]
        with server.client(decode_responses=True) as client:
            client.config_resetstat()
            for turn_id in turns * 5:
                a.runner.readership.joined(turn_id, elsewhere=True)
            for turn_id in turns:
                a.runner.readership.joined(f"{turn_id} of nobody's concern")
            await until(lambda: _have_readers(a, turns))
            calls = client.info("commandstats")
            assert client.keys("*concern*") == []

    assert calls["cmdstat_zadd"]["calls"] == len(turns)
    asked = [calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha")]
    assert sum(asked) <= 2  # the script has to be told once


async def _have_readers(site: Site, turns: Sequence[str]) -> bool:
    return all([await site.worker.redis("EXISTS", readers_of(turn)) for turn in turns])


@pytest.mark.long
async def test_readers_that_stay_are_told_of_again_before_what_was_told_lapses(
    server: RedisServer, tmp_path: Path
) -> None:
    async with sites(server, tmp_path, StallingTokenSource()) as (a,):
        a.runner.readership.joined("turn_1", elsewhere=True)
        scores: list[object] = []

        async def is_told_again() -> bool:
            score = await a.worker.redis("ZSCORE", readers_of("turn_1"), "site 0")
            scores.extend([score] if score is not None and score not in scores else [])
            return len(scores) >= 2

        with anyio.fail_after(2 * TELL_EVERY_S):
            await until(is_told_again)


async def test_commands_are_kept_however_many_readers_there_are(
    server: RedisServer, tmp_path: Path
) -> None:
    source = StallingTokenSource()
    async with sites(server, tmp_path, source, source) as (a, b):
        turn = await a.start()
        turn_id = turn.spec.turn_id
        await a.share()
        a.worker.pause()
        await b.worker.leases.tell(turn_id, encode(CancelTurn("user")))
        for number in range(30):
            read = (
                {"read": {turn_id}, "left": ()} if number % 2 else {"read": (), "left": {turn_id}}
            )
            await b.worker.leases.tell_readers(**read, for_s=READ_FOR_S)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(a.worker.live)
            await ended(turn)
            tasks.cancel_scope.cancel()

    assert turn.outcome == Cancelled("user")


# Speech.


async def test_an_answer_is_spoken_to_readers_elsewhere_only(
    server: RedisServer, tmp_path: Path
) -> None:
    engine = ScriptedSpeaker("espeak")
    async with speaking(server, tmp_path, engine) as (a, b):
        turn = await a.start(speech=ENGLISH)
        await read_elsewhere(a, b, turn)
        events = await follow(a.worker.log, turn.spec.turn_id)

    assert [event.name for event in events if event.name.startswith("speech.")] == [
        "speech.chunk"
    ] * len(SENTENCES)


async def test_speech_ends_unheard_once_the_readers_elsewhere_have_gone(
    server: RedisServer, tmp_path: Path
) -> None:
    engine = ScriptedSpeaker("espeak", [HANGS])
    limits = SpeechLimits(timeout_s=60, idle_s=1.0)
    async with speaking(server, tmp_path, engine, speech_limits=limits) as (a, b):
        turn = await a.start(speech=ENGLISH)
        read = {turn.spec.turn_id}
        await b.worker.leases.tell_readers(read=read, left=(), for_s=0.5)  # and then no more
        await engine.until_asked()
        events = await follow(a.worker.log, turn.spec.turn_id)

    failed = [event.data["code"] for event in events if event.name == "speech.failed"]
    assert failed == [NOT_REQUESTED] * len(SENTENCES)


async def test_the_next_turn_cuts_the_speech_of_the_former_one_elsewhere(
    server: RedisServer, tmp_path: Path
) -> None:
    engine = ScriptedSpeaker("espeak", [HANGS])
    async with speaking(server, tmp_path, engine) as (a, b):
        turn = await a.start(speech=ENGLISH)
        await read_elsewhere(a, b, turn)
        await engine.until_asked()
        await until(lambda: _has_ended(a, turn))
        assert not turn.ended.is_set()
        await b.start(former_turn_id=turn.spec.turn_id)
        with anyio.fail_after(WAIT_S / 2):
            events = await follow(a.worker.log, turn.spec.turn_id)
        record = await a.record(turn.spec.turn_id)

    assert events[-1].name == "turn.completed"
    assert not any(event.name.startswith("speech.") for event in events)
    assert engine.running == 0
    assert [unit.text for unit in record.speech] == [text.strip() for text in SENTENCES]


async def _has_ended(site: Site, turn: LiveTurn) -> bool:
    return (await site.record(turn.spec.turn_id)).status is TurnStatus.COMPLETED


async def test_a_turn_falls_silent_whose_end_is_stored_but_not_known_yet(
    server: RedisServer, tmp_path: Path
) -> None:
    engine = ScriptedSpeaker("espeak", [HANGS])
    async with speaking(server, tmp_path, engine) as (a, b):
        history = a.history
        assert isinstance(history, UnreachableHistory)
        history.turns.gate = anyio.Event()
        turn = await a.start(speech=ENGLISH)
        await read_elsewhere(a, b, turn)
        await history.turns.at_gate.wait()
        await b.start(former_turn_id=turn.spec.turn_id)
        silence = (turn.spec.turn_id, encode(FallSilent()))
        await until(lambda: _is_in(silence, a.worker.commands))
        history.turns.open_gate()
        events = await follow(a.worker.log, turn.spec.turn_id)

    assert events[-1].name == "turn.completed"
    assert not any(event.name.startswith("speech.") for event in events)


async def _is_in(item: object, items: Sequence[object]) -> bool:
    return item in items


async def test_a_turn_starts_and_ends_although_nobody_hears_that_the_former_one_is_to_be_silent(
    server: RedisServer, tmp_path: Path
) -> None:
    async with speaking(server, tmp_path, ScriptedSpeaker("espeak")) as (a, _):
        server.pause()
        try:
            turn = await a.start(former_turn_id="turn_of_somebody")
            events = await follow(a.worker.log, turn.spec.turn_id)
        finally:
            server.resume()

    assert events[-1].name == "turn.completed"


@asynccontextmanager
async def speaking(
    server: RedisServer, folder: Path, engine: ScriptedSpeaker, **options: Any
) -> AsyncIterator[Sequence[Site]]:
    """Run two sites whose model says the sentences."""
    sources = [ScriptedTokenSource([*SENTENCES, STOP]) for _ in range(2)]
    async with sites(server, folder, *sources, speakers=[engine], **options) as two:
        yield two
