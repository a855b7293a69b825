"""Turns whose worker is gone: who takes them, from where, and what becomes of them then."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from history.errors import HistoryUnavailableError
from history.model import Checkpoint, TurnStatus
from streaming.commands import CancelTurn, encode
from streaming.cursor import START, Cursor
from streaming.errors import SpecificationError, SpecificationLostError
from streaming.event_log.base import OVERDUE_AT_ONCE, Wake
from streaming.event_log.redis.keys import RUNNING, lease_of
from streaming.llm.base import TokenSource
from streaming.takeover import SILENT_AFTER_S
from streaming.turn import Cancelled, Failed, OnBreak
from tests.streaming.event_log.workers import claim, until, workers
from tests.streaming.harness import (
    WAIT_S,
    Told,
    UnreachableHistory,
    deltas,
    follow,
    opened_history,
    wait_for_entry,
)
from tests.streaming.sites import Site
from tests.support.redis import RedisServer, running_redis
from tests.support.sources import STOP, ScriptedTokenSource, StallingTokenSource

OFTEN_S = 0.05


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@asynccontextmanager
async def sites(
    server: RedisServer, folder: Path, *sources: TokenSource
) -> AsyncIterator[tuple[Sequence[Site], UnreachableHistory]]:
    """Run a site for each model, over one record and one Redis."""
    with server.client() as client:
        client.flushall()
    names = [f"site {number}" for number in range(len(sources))]
    async with opened_history(folder) as history, workers(server.url, *names) as shared:
        made = [
            Site(worker, history, source) for worker, source in zip(shared, sources, strict=True)
        ]
        async with anyio.create_task_group() as tasks:
            for site in made:
                await tasks.start(site.run)
            yield made, history
            tasks.cancel_scope.cancel()


@pytest.mark.fault(1)
async def test_a_turn_goes_on_from_what_its_lost_worker_has_shared(
    server: RedisServer, tmp_path: Path
) -> None:
    lost, next_one = StallingTokenSource(["One, ", "two, "]), ScriptedTokenSource(["three.", STOP])
    async with sites(server, tmp_path, lost, next_one) as ((a, b), _):
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()
        await a.share()
        await a.lose(turn_id)

        await b.take()
        events = await follow(b.worker.log, turn_id)

        assert deltas(events) == "One, two, three."
        assert [event.cursor.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.cursor.epoch for event in events] == [1, 1, 1, 2, 2, 2]
        record = await b.record(turn_id)
        assert (record.status, record.text) == (TurnStatus.COMPLETED, "One, two, three.")
        assert next_one.asked[0].prefix == "One, two, "


@pytest.mark.parametrize(
    ("seen", "text"), [(Cursor(1, 2), "One, "), (Cursor(2, 2), "One, two, "), (None, "One, two, ")]
)
async def test_a_cancel_ends_the_text_where_the_page_had_seen_it_before_the_takeover(
    server: RedisServer, tmp_path: Path, seen: Cursor | None, text: str
) -> None:
    lost = StallingTokenSource(["One, ", "two, "])
    async with sites(server, tmp_path, lost, StallingTokenSource()) as ((a, b), _):
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()
        await a.share()
        await a.lose(turn_id)
        await b.take()

        await b.runner.cancel(turn_id, Cancelled("user", seen), wait_s=WAIT_S)

        assert (await b.record(turn_id)).text == text


async def _lost_and_taken(a: Site, b: Site, turn_id: str) -> list[Told]:
    """Lose a turn that has stalled on one site, take it on another, and return all events."""
    await a.share()
    await a.lose(turn_id)
    await b.take()
    events = await follow(b.worker.log, turn_id)
    await until(partial(_is_ended, b, turn_id))
    return events


async def _is_ended(site: Site, turn_id: str) -> bool:
    return (await site.record(turn_id)).status is not TurnStatus.RUNNING


async def test_a_turn_of_a_chatbot_that_restarts_is_begun_anew_after_one_reset(
    server: RedisServer, tmp_path: Path
) -> None:
    lost, next_one = StallingTokenSource(["One, ", "two, "]), ScriptedTokenSource(["Uno.", STOP])
    async with sites(server, tmp_path, lost, next_one) as ((a, b), _):
        b.on_break = "restart"
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()

        events = await _lost_and_taken(a, b, turn_id)

        assert [event.name for event in events] == [
            "turn.started", "text.delta", "text.delta",
            "turn.reset", "text.delta", "text.done", "turn.completed",
        ]  # fmt: skip
        assert (events[3].data["text"], events[3].data["reason"]) == ("", "restarted")
        assert [event.cursor.epoch for event in events] == [1, 1, 1, 2, 2, 2, 2]
        record = await b.record(turn_id)
        assert (record.status, record.text) == (TurnStatus.COMPLETED, "Uno.")
        assert [prompt.prefix for prompt in next_one.asked] == [""]


async def test_a_turn_of_a_chatbot_that_interrupts_ends_with_the_text_it_has(
    server: RedisServer, tmp_path: Path
) -> None:
    lost, next_one = StallingTokenSource(["One, ", "two, "]), ScriptedTokenSource(["three.", STOP])
    async with sites(server, tmp_path, lost, next_one) as ((a, b), _):
        b.on_break = "interrupt"
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()

        events = await _lost_and_taken(a, b, turn_id)

        assert [event.name for event in events[3:]] == ["turn.interrupted"]
        assert events[-1].data["reason"] == "worker_lost"
        record = await b.record(turn_id)
        assert (record.status, record.text) == (TurnStatus.INTERRUPTED, "One, two, ")
        assert next_one.asked == []


async def test_an_answer_that_had_not_begun_is_begun_whatever_the_policy(
    server: RedisServer, tmp_path: Path
) -> None:
    lost, next_one = StallingTokenSource(), ScriptedTokenSource(["All of it.", STOP])
    async with sites(server, tmp_path, lost, next_one) as ((a, b), _):
        b.on_break = "interrupt"
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()

        events = await _lost_and_taken(a, b, turn_id)

        assert (events[-1].name, events[-1].data["text"]) == ("turn.completed", "All of it.")


@pytest.mark.parametrize(
    ("on_break", "prefixes", "status", "text"),
    [
        ("continue", ["One, two, "], TurnStatus.COMPLETED, "One, two, three."),
        ("restart", [""], TurnStatus.COMPLETED, "three."),
        ("interrupt", [], TurnStatus.INTERRUPTED, "One, two, "),
    ],
)
async def test_a_turn_that_is_not_streamed_is_gone_on_with_from_its_record(  # noqa: PLR0917  # one case
    server: RedisServer,
    tmp_path: Path,
    on_break: OnBreak,
    prefixes: list[str],
    status: TurnStatus,
    text: str,
) -> None:
    lost, next_one = StallingTokenSource(["One, ", "two, "]), ScriptedTokenSource(["three.", STOP])
    async with sites(server, tmp_path, lost, next_one) as ((a, b), _):
        b.on_break = on_break
        turn_id = (await a.start(streaming=False)).spec.turn_id
        await until(partial(_is_stored, a, turn_id, "One, two, "))

        events = await _lost_and_taken(a, b, turn_id)

        record = await b.record(turn_id)
        assert (record.status, record.text, events[-1].data["text"]) == (status, text, text)
        assert [event.cursor for event in events] == [Cursor(1, 1), Cursor(2, 2)]
        assert [prompt.prefix for prompt in next_one.asked] == prefixes


async def test_a_turn_whose_chatbot_is_gone_ends_with_the_text_it_has_and_is_not_taken_again(
    server: RedisServer, tmp_path: Path
) -> None:
    lost, next_one = StallingTokenSource(["One, "]), ScriptedTokenSource(["two.", STOP])
    async with sites(server, tmp_path, lost, next_one) as ((a, b), _):
        b.refusal = SpecificationLostError("chatbot_not_found")
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()

        events = await _lost_and_taken(a, b, turn_id)

        assert [event.name for event in events[2:]] == ["turn.interrupted"]
        assert events[-1].cursor == Cursor(2, 3)
        record = await b.record(turn_id)
        assert (record.status, record.text) == (TurnStatus.INTERRUPTED, "One, ")
        assert (record.epoch, record.last_seq, record.end) == (2, 3, events[-1].data)
        await b.share()
        await until(partial(_is_released, b, turn_id))
        assert (await b.takeovers.look(), next_one.asked) == (0, [])


async def _is_released(site: Site, turn_id: str) -> bool:
    return await site.worker.redis("ZSCORE", RUNNING, turn_id) is None


@pytest.mark.long
async def test_a_turn_that_cannot_be_specified_now_is_taken_again(
    server: RedisServer, tmp_path: Path
) -> None:
    lost, next_one = StallingTokenSource(["One, "]), ScriptedTokenSource(["two.", STOP])
    async with sites(server, tmp_path, lost, next_one) as ((a, b), _):
        b.refusal = SpecificationError("chatbots_unavailable")
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()
        await a.share()
        await a.lose(turn_id)
        for _ in range(3):  # more often than workers may be lost
            b.specifies = anyio.Event()
            await until(partial(_specifies, b))
            assert b.taken == 0
            assert (await b.record(turn_id)).status is TurnStatus.RUNNING
            assert b.runner.find(turn_id) is None

        b.refusal = None
        await b.take()

        assert deltas(await follow(b.worker.log, turn_id)) == "One, two."


async def _specifies(site: Site) -> bool:
    await site.takeovers.look()
    return site.specifies.is_set()


async def test_words_that_only_the_record_has_are_told_without_a_reset(
    server: RedisServer, tmp_path: Path
) -> None:
    go_on = anyio.Event()
    lost = ScriptedTokenSource(["One, ", "two, ", go_on, "three, ", anyio.Event()])
    async with sites(server, tmp_path, lost, ScriptedTokenSource(["four.", STOP])) as ((a, b), _):
        turn = await a.start()
        turn_id = turn.spec.turn_id
        await wait_for_entry(a.worker.log.attach(turn_id, START), 3)
        await a.share()
        reader = await b.reader(turn_id, seq=3)
        a.worker.pause()
        go_on.set()
        await until(partial(_is_stored, a, turn_id, "One, two, three, "))
        await a.lose(turn_id)

        await b.take()
        events = await follow(b.worker.log, turn_id)

        assert deltas(events) == "One, two, three, four."
        assert [event.cursor.epoch for event in events] == [1, 1, 1, 2, 2, 2, 2]
        assert not any(event.name == "turn.reset" for event in events)
        await wait_for_entry(reader, 7)


async def _is_stored(site: Site, turn_id: str, text: str) -> bool:
    return (await site.record(turn_id)).text == text


async def test_a_record_that_does_not_go_on_where_the_log_ends_is_what_counts(
    server: RedisServer, tmp_path: Path
) -> None:
    lost = StallingTokenSource(["One, ", "two, "])
    async with sites(server, tmp_path, lost, ScriptedTokenSource(["three.", STOP])) as ((a, b), _):
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()
        await a.share()
        a.worker.pause()
        other = Checkpoint(turn_id, 1, 9, "Uno, due, ", datetime.now(UTC))
        assert await a.history.turns.checkpoint([other]) == frozenset()
        await a.lose(turn_id)

        await b.take()
        events = await follow(b.worker.log, turn_id)

        (reset,) = [event for event in events if event.name == "turn.reset"]
        assert (reset.cursor.seq, reset.data["text"]) == (4, "Uno, due, ")
        assert (await b.record(turn_id)).text == "Uno, due, three."


async def test_a_turn_that_redis_was_never_told_of_is_taken_once_its_record_is_silent(
    server: RedisServer, tmp_path: Path
) -> None:
    lost, next_one = StallingTokenSource(), ScriptedTokenSource(["All of it.", STOP])
    async with sites(server, tmp_path, lost, next_one) as ((a, b), _):
        a.worker.pause()
        now = datetime.now(UTC)
        await a.start(started_at=now - timedelta(seconds=1))
        assert await b.takeovers.look_for_silent() == 0

        silent_for = timedelta(seconds=SILENT_AFTER_S + 1)
        turn_id = (await a.start(started_at=now - silent_for)).spec.turn_id

        assert await b.takeovers.look_for_silent() == 1
        assert deltas(await follow(b.worker.log, turn_id)) == "All of it."


async def test_many_turns_of_one_lost_worker_are_taken_in_one_round(
    server: RedisServer, tmp_path: Path
) -> None:
    lost = StallingTokenSource(["One, "])
    async with sites(server, tmp_path, lost, StallingTokenSource()) as ((a, b), _):
        turn_ids = [(await a.start()).spec.turn_id for _ in range(OVERDUE_AT_ONCE + 20)]
        await a.share()
        for turn_id in turn_ids:
            await a.lose(turn_id)

        assert await b.takeovers.look() == len(turn_ids)
        assert b.runner.live_count == b.taken == len(turn_ids)


async def test_a_turn_whose_end_waits_to_be_stored_is_not_taken_by_who_has_ended_it(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.takeover.SILENT_AFTER_S", 0.0)
    source = ScriptedTokenSource(["All of it.", STOP])
    async with sites(server, tmp_path, source) as ((a,), history):
        history.cut()
        turn = await a.start(started_at=datetime.now(UTC))
        with anyio.fail_after(WAIT_S):
            await turn.ended.wait()
        await a.share()

        assert await a.takeovers.look_for_silent() == 0
        assert source.opened == 1

        history.mend()
        await until(partial(_has_ended, a, turn.spec.turn_id))
        assert (await a.record(turn.spec.turn_id)).epoch == 1


async def test_a_takeover_that_history_stops_half_way_keeps_no_lease(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.event_log.redis.writing.RENEW_EVERY_S", OFTEN_S)
    lost = StallingTokenSource(["One, "])
    async with sites(server, tmp_path, lost, StallingTokenSource()) as ((a, b), history):
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()
        await a.share()
        await a.lose(turn_id)
        history.cut()

        with pytest.raises(HistoryUnavailableError):
            await b.takeovers.look()

        history.mend()
        held_until = await b.leased_until(turn_id)
        await _after_renewals(b, (await b.start()).spec.turn_id)
        assert await b.leased_until(turn_id) == held_until
        assert b.runner.find(turn_id) is None


async def _after_renewals(site: Site, turn_id: str) -> None:
    """Wait until the lease of a turn that runs has been renewed a few times."""
    seen: set[int] = set()

    async def is_renewed() -> bool:
        await site.share()
        seen.add(await site.leased_until(turn_id))
        return len(seen) > 3

    await until(is_renewed)


async def test_a_stop_that_comes_before_a_turn_goes_on_is_obeyed_once_it_does(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.event_log.redis.writing.RENEW_EVERY_S", OFTEN_S)
    lost = StallingTokenSource(["One, "])
    async with sites(server, tmp_path, lost, StallingTokenSource(["two, "])) as ((a, b), _):
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()
        await a.share()
        await a.lose(turn_id)
        b.may_specify = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(b.take)
            await b.specifies.wait()
            await a.worker.leases.tell(turn_id, encode(CancelTurn("user")))
            await until(lambda: claim(bool(b.worker.commands)))
            b.may_specify.set()

        await until(partial(_is_cancelled, b, turn_id))


async def _is_cancelled(site: Site, turn_id: str) -> bool:
    return (await site.record(turn_id)).status is TurnStatus.CANCELLED


async def test_a_turn_that_is_lost_again_before_it_goes_on_is_left(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.event_log.redis.writing.RENEW_EVERY_S", OFTEN_S)
    lost, unasked = StallingTokenSource(["One, "]), StallingTokenSource()
    async with sites(server, tmp_path, lost, unasked) as ((a, b), _):
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()
        await a.share()
        await a.lose(turn_id)
        b.may_specify = anyio.Event()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(b.takeovers.look)
            with anyio.fail_after(WAIT_S):
                await b.specifies.wait()
            await b.worker.redis("HSET", lease_of(turn_id), "epoch", 9, "worker", "another")
            await _after_renewals(b, (await b.start()).spec.turn_id)
            b.may_specify.set()

        await until(partial(_is_left, b, turn_id))
        assert (await b.record(turn_id)).status is TurnStatus.RUNNING


async def _is_left(site: Site, turn_id: str) -> bool:
    return site.runner.find(turn_id) is None


async def _has_stopped_its_turns(site: Site) -> bool:
    return site.runner._leaving is not None


async def test_a_turn_that_begins_while_its_worker_leaves_is_handed_over(
    server: RedisServer, tmp_path: Path
) -> None:
    leaving, next_one = StallingTokenSource(), ScriptedTokenSource(["All of it.", STOP])
    async with sites(server, tmp_path, leaving, next_one) as ((a, b), _):
        async with anyio.create_task_group() as tasks:
            with a.runner.admission():
                tasks.start_soon(a.runner.drain, 0.0)
                await until(partial(_has_stopped_its_turns, a))
                turn_id = (await a.start()).spec.turn_id

        assert (await a.record(turn_id)).status is TurnStatus.RUNNING
        assert await a.leased_until(turn_id) == 1
        await a.worker.redis("ZADD", RUNNING, 1, turn_id)
        await b.take()
        assert deltas(await follow(b.worker.log, turn_id)) == "All of it."


async def test_a_process_that_leaves_takes_nothing(server: RedisServer, tmp_path: Path) -> None:
    lost = StallingTokenSource(["One, "])
    async with sites(server, tmp_path, lost, StallingTokenSource()) as ((a, b), _):
        turn_id = (await a.start()).spec.turn_id
        await lost.until_stalled()
        await a.share()
        await a.lose(turn_id)
        with anyio.fail_after(WAIT_S):
            await b.runner.drain(0.0)

        assert await b.takeovers.look() == 0
        assert (await b.record(turn_id)).epoch == 1


async def test_who_is_late_to_end_a_turn_that_another_has_ended_sends_its_readers_there(
    server: RedisServer, tmp_path: Path
) -> None:
    go_on = anyio.Event()
    late = ScriptedTokenSource(["One, ", go_on, "and this is too late.", STOP])
    async with sites(server, tmp_path, late, ScriptedTokenSource(["two.", STOP])) as ((a, b), _):
        turn = await a.start()
        turn_id = turn.spec.turn_id
        reader = a.worker.log.attach(turn_id, START)
        await wait_for_entry(reader, 2)
        await a.share()
        await a.lose(turn_id)
        await b.take()
        told = await follow(b.worker.log, turn_id)
        await until(partial(_has_ended, b, turn_id))

        go_on.set()

        with anyio.fail_after(WAIT_S):
            await turn.ended.wait()
            while reader.take(1 << 16) or await reader.wait() is not Wake.LEAVE:
                pass
        assert not reader.at_end
        assert (await a.record(turn_id)).text == deltas(told) == "One, two."


async def test_an_end_that_only_its_worker_knows_is_not_told_once_another_has_the_turn(
    server: RedisServer, tmp_path: Path
) -> None:
    lost = StallingTokenSource(["One, "])
    taker = ScriptedTokenSource(["two.", STOP])
    async with sites(server, tmp_path, lost, taker) as ((a, b), history):
        turn = await a.start()
        turn_id = turn.spec.turn_id
        reader = a.worker.log.attach(turn_id, START)
        await wait_for_entry(reader, 2)
        await a.share()
        await a.lose(turn_id)
        await b.take()
        await until(partial(_has_ended, b, turn_id))
        history.cut()

        turn.stop(Failed("upstream_timeout", "It fell silent.", True))
        turn.lose()

        with anyio.fail_after(WAIT_S):
            while reader.take(1 << 16) or await reader.wait() is not Wake.LEAVE:
                pass
        assert not reader.at_end
        history.mend()
        assert (await a.record(turn_id)).text == "One, two."


async def _has_ended(site: Site, turn_id: str) -> bool:
    return (await site.record(turn_id)).status is TurnStatus.COMPLETED
