"""What locust runs: people of a profile, in its shape. The only module that needs locust.

By hand: `.venv-loadtests/bin/python -m locust -f loadtests/people/locustfile.py --host …`, with
`--load-profile` and `--result`; `python -m loadtests.people` does so and judges the result.
"""

import itertools
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
from locust import LoadTestShape, User, events
from locust.runners import MasterRunner, WorkerRunner

from loadtests.people import profiles
from loadtests.people.link import Call, Link, LinkError
from loadtests.people.person import Person
from loadtests.people.tally import Tally

_LAG_EVERY_S = 0.1
_TALLY = "chat_tally"
_MEASURES = {
    "ttft": "time to first token",
    "gap": "gap between tokens",
    "ttfa": "time to first audio",
    "resume": "reconnect to next entry",
    "whole": "whole answer",
}

_tally = Tally()
_numbers = itertools.count(1)


class _Notes:
    """Notes what people see in our tally, and in locust's own table."""

    def __init__(self, environment: Any) -> None:
        self._stats = environment.stats
        self._fire = environment.events.request.fire

    def took(self, what: str, seconds: float) -> None:
        """Note a time: a row of its own in locust's table, and no request in its total."""
        _tally.took(what, seconds)
        self._stats.get(_MEASURES[what], "MEASURE").log(1e3 * seconds, 0)

    def counted(self, what: str, number: int = 1) -> None:
        """Note that something happened."""
        _tally.counted(what, number)

    def erred(self, code: str, number: int = 1) -> None:
        """Note what went wrong."""
        _tally.erred(code, number)

    def called(self, call: Call) -> None:
        """Note a request."""
        _tally.counted("calls")
        self._row(call.method, call.name, call.took_s, code=call.code, size_bytes=call.size_bytes)

    def turned(self, kind: str, took_s: float, code: str) -> None:
        """Note a whole turn: a request of locust's, and a failure by its code."""
        self._row("TURN", kind, took_s, code=code)

    def _row(
        self, method: str, name: str, took_s: float, *, code: str, size_bytes: int = 0
    ) -> None:
        self._fire(
            request_type=method,
            name=name,
            response_time=1e3 * took_s,
            response_length=size_bytes,
            exception=LinkError(code) if code else None,
            context={},
        )


def _have_turn(user: Any) -> None:
    user.person.have_turn()


class Visitor(User):  # type: ignore[misc]  # locust is not installed where types are checked
    """A locust user that is one of our people."""

    tasks = (_have_turn,)

    def on_start(self) -> None:
        """Arrive."""
        options, notes = self.environment.parsed_options, _Notes(self.environment)
        profile = profiles.profile(options.load_profile)
        place = getattr(self.environment.runner, "worker_index", 0)
        name = f"p{options.seed}-{max(place, 0)}-{next(_numbers)}"
        self.person = Person(
            name,
            Link(self.host or self.environment.host, notes.called),
            profile.people,
            notes=notes,
            sleep=gevent.sleep,
            answers=profile.model if options.knows_answers else None,
        )
        self.person.arrive()

    def on_stop(self) -> None:
        """Go."""
        self.person.leave()

    def wait_time(self) -> float:
        """Think."""
        return self.person.think_s()


class ProfileShape(LoadTestShape):  # type: ignore[misc]  # as above
    """As many people at any time as the profile says."""

    def tick(self) -> tuple[int, float] | None:
        """Return how many people there are to be, and how fast they come; None at the end.

        Behind the last stage nobody is to be there, but whoever reads an answer may end it: a
        master that quits at once would cut its workers' longest turns, and nobody would count them.
        """
        options = self.runner.environment.parsed_options
        profile = profiles.profile(options.load_profile, seconds=options.seconds)
        stage = profile.stage_at(self.get_run_time())
        if stage is not None:
            return stage.users, stage.spawn_per_s
        waits_until_s = profile.duration_s + (self.runner.environment.stop_timeout or 0)
        is_over = self.runner.user_count == 0 or self.get_run_time() > waits_until_s
        return None if is_over else (0, float(profile.users))


def _add_options(parser: Any) -> None:
    parser.add_argument("--load-profile", default="smoke", help="of loadtests/people/profiles.toml")
    parser.add_argument("--seconds", type=float, default=None, help="how long; default: as it says")
    parser.add_argument("--seed", type=int, default=1, help="of all that people do")
    parser.add_argument("--result", default="", help="file that gets the figures")
    parser.add_argument(
        "--knows-answers",
        action="store_true",
        help="the LLM simulator answers, as the profile says",
    )
    parser.add_argument(
        "--i-own-this-host", action="store_true", help="you may put load on another machine"
    )


def _begin(environment: Any, runner: Any, **_: Any) -> None:
    """Refuse what must not be run; else connect the tallies of all processes."""
    options = environment.parsed_options
    try:
        profiles.profile(options.load_profile, seconds=options.seconds)
        if environment.host:
            profiles.check_host(environment.host, is_owned=options.i_own_this_host)
    except profiles.ProfileError as exc:
        print(f"loadtest: {exc}", file=sys.stderr)
        environment.process_exit_code = 2
        sys.exit(2)
    if isinstance(runner, WorkerRunner):
        environment.events.report_to_master.add_listener(_give)
    elif isinstance(runner, MasterRunner):
        environment.events.worker_report.add_listener(_take)
    if not isinstance(runner, WorkerRunner):
        environment.events.quitting.add_listener(_write)
        gevent.spawn(_count_users, runner)
    if not isinstance(runner, MasterRunner):
        gevent.spawn(_watch_lag, runner)
    environment.events.user_error.add_listener(_note_fault)


def _give(data: dict[str, Any], **_: Any) -> None:
    data[_TALLY] = _tally.taken()


def _take(data: dict[str, Any], **_: Any) -> None:
    _tally.add(data.get(_TALLY, {}))


def _note_fault(exception: BaseException, **_: Any) -> None:
    """Note a fault of these load tests themselves: a run with one shows nothing."""
    _tally.counted("generator_faults")
    _tally.erred(f"generator_{type(exception).__name__}")


def _write(environment: Any, **_: Any) -> None:
    path = environment.parsed_options.result
    if path:
        Path(path).write_text(json.dumps(_tally.taken()), encoding="utf-8")


def _count_users(runner: Any) -> None:
    while True:
        if runner.user_count:  # the run begins when the first have come
            _tally.counted("users", runner.user_count)
        gevent.sleep(1)


def _watch_lag(runner: Any) -> None:
    """Note how late this process gets to what it has to do: its figures are late by as much."""
    while True:
        due_at = perf_counter() + _LAG_EVERY_S
        gevent.sleep(_LAG_EVERY_S)
        if runner.user_count:
            _tally.took("lag", max(0.0, perf_counter() - due_at))


events.init_command_line_parser.add_listener(_add_options)
events.init.add_listener(_begin)
