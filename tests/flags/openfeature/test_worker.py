"""The thread that runs one coroutine."""

import threading

import anyio
from anyio import to_thread

from flags.openfeature.worker import Worker
from tests.flags.openfeature.services import WAIT_S, eventually, our_threads


def test_it_can_be_stopped_before_its_loop_has_begun() -> None:
    workers = [Worker(anyio.sleep_forever, name="chatstream-flags") for _ in range(20)]

    for worker in workers:
        worker.start()

        assert worker.stop(WAIT_S)


def test_when_it_has_stopped_its_helpers_have_ended() -> None:
    for _ in range(20):
        is_helped = threading.Event()

        async def main(is_helped: threading.Event = is_helped) -> None:
            await to_thread.run_sync(is_helped.set)
            await anyio.sleep_forever()

        worker = Worker(main, name="chatstream-flags")
        worker.start()
        assert is_helped.wait(WAIT_S)

        assert worker.stop(WAIT_S)
        assert not our_threads()


def test_one_that_has_ended_by_itself_can_be_stopped() -> None:
    worker = Worker(anyio.lowlevel.checkpoint, name="chatstream-flags")
    worker.start()
    eventually(lambda: not our_threads())

    assert worker.stop(WAIT_S)


def test_one_that_does_not_listen_is_given_up_in_time() -> None:
    may_end = threading.Event()
    has_begun = threading.Event()

    async def main() -> None:
        has_begun.set()
        may_end.wait(WAIT_S)  # holds the loop up, as no coroutine should

    worker = Worker(main, name="chatstream-flags")
    worker.start()
    assert has_begun.wait(WAIT_S)

    assert not worker.stop(0.05)

    may_end.set()
    assert worker.stop(WAIT_S)


def test_it_may_be_stopped_by_what_it_runs() -> None:
    stopped: list[bool] = []

    async def main() -> None:
        stopped.append(worker.stop(WAIT_S))
        await anyio.sleep_forever()

    worker = Worker(main, name="chatstream-flags")
    worker.start()
    eventually(lambda: stopped)

    assert worker.stop(WAIT_S)
    assert stopped == [False]
