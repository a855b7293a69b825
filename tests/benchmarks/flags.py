"""`python -m tests.benchmarks.flags`: what asking a flag costs, ours and other SDKs, side by side.

In one process everybody has the same kind of flag, on for 5 % of the users by their id, is asked in
the way that its vendor documents, offline, and has its contexts made before. Rounds alternate.
The time is CPU time of the asking thread alone: neither other processes nor background threads are
counted. Prints a Markdown table; read ratios rather than microseconds.
"""

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import anyio
from growthbook import GrowthBook
from ldclient import Config, Context, LDClient
from ldclient.integrations import Files
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider import AbstractProvider
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from posthog import Posthog
from UnleashClient.cache import FileCache
from UnleashClient.clients.unleash_client import UnleashClient

from flags.changes.editor import FlagEditor, Request
from flags.client import Fallbacks, FlagClient
from flags.codec import read_flag
from flags.model import Author, Ruleset
from flags.openfeature import ChatstreamFlagProvider
from flags.store.file import FileFlagStore

_SHARE = 5
_DENIED = 10_000
_NOBODYS_URL = "http://127.0.0.1:9"
_FIVE: dict[str, object] = {"rollout": {"percentage": _SHARE}}
_COUNTRY = {"when": {"country": {"$in": ["NO", "SE"]}}, "percentage": _SHARE}

Run = Callable[[], int]
"""Asks for every user once; returns how many have the flag."""

Contestant = Callable[[Sequence[str], Path], Iterator[dict[str, Run]]]


def main() -> int:
    """Time all contestants and print the table; return the exit status."""
    arguments = _parser().parse_args()
    users = [f"user-{number}" for number in range(arguments.users)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runs: dict[str, Run] = {}
        for contestant in (_ours, _posthog, _launchdarkly, _growthbook, _unleash, _openfeature):
            runs |= stack.enter_context(contextmanager(contestant)(users, folder))
        _print(_table(*_timed(runs, len(users), arguments.rounds), len(users)))
    return 0


def _timed(
    runs: dict[str, Run], asked: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Return the microseconds of a question in each round, and how many users had the flag."""
    included = {name: run() for name, run in runs.items()}  # warms up as well
    taken: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.thread_time_ns()
            run()
            taken[name].append((time.thread_time_ns() - started) / 1e3 / asked)
    gc.enable()
    return taken, included


def _table(taken: dict[str, list[float]], included: dict[str, int], asked: int) -> str:
    ours = min(taken["ours: `FlagClient.decide`, 5 %"])
    lines = [
        f"| {asked:,} users, us a question | min | median | ours at 5 % = 1 | included |",
        "|---|---|---|---|---|",
    ]
    for name, each in taken.items():
        share = f"{included[name]:,} ({100 * included[name] / asked:.2f} %)"
        least, middle = min(each), statistics.median(each)
        lines.append(f"| {name} | {least:.2f} | {middle:.2f} | {least / ours:.1f} | {share} |")
    return "\n".join(lines)


def _ours(users: Sequence[str], folder: Path) -> Iterator[dict[str, Run]]:
    definitions: dict[str, dict[str, object]] = {
        "five": _FIVE,
        "all": {"rollout": {"percentage": 100}},
        "denied": {**_FIVE, "deny": [f"denied-{number}" for number in range(_DENIED)]},
        "ruled": {"rules": [_COUNTRY]},
    }
    flags = {key: read_flag(each, key, strict=True) for key, each in definitions.items()}
    store = FileFlagStore(folder / "unused.json")
    client = FlagClient(store, Fallbacks(Ruleset(1, flags)))
    attributes = {"country": "NO"}

    def run(key: str) -> int:
        decide = client.decide
        return sum(decide(key, user, default=False).value is True for user in users)

    def run_ruled() -> int:
        decide = client.decide
        return sum(
            decide("ruled", user, default=False, attributes=attributes).value is True
            for user in users
        )

    yield {
        "ours: `FlagClient.decide`, 5 %": partial(run, "five"),
        "ours, 100 %": partial(run, "all"),
        f"ours, 5 % and a deny list of {_DENIED:,}": partial(run, "denied"),
        "ours, a rule by country for 5 %": run_ruled,
    }


def _posthog(users: Sequence[str], _folder: Path) -> Iterator[dict[str, Run]]:
    client = Posthog("phc_bench", host=_NOBODYS_URL, send=False, enable_local_evaluation=False)
    groups = [{"properties": [], "rollout_percentage": _SHARE}]
    client.feature_flags = [{"id": 1, "key": "five", "active": True, "filters": {"groups": groups}}]
    # What has taken its place asks for all flags of a user at once; this is the question for one.
    warnings.filterwarnings("ignore", "`feature_enabled` is deprecated", DeprecationWarning)
    ask = partial(
        client.feature_enabled, only_evaluate_locally=True, send_feature_flag_events=False
    )

    yield {
        "`posthog` 7.91, `feature_enabled`, local": lambda: sum(
            ask("five", user) is True for user in users
        )
    }
    client.shutdown()


def _launchdarkly(users: Sequence[str], folder: Path) -> Iterator[dict[str, Run]]:
    shares = [{"variation": 0, "weight": _SHARE * 1000}, {"variation": 1, "weight": 95_000}]
    flag = {
        "key": "five",
        "version": 1,
        "on": True,
        "variations": [True, False],
        "offVariation": 1,
        "salt": "five",
        "fallthrough": {"rollout": {"variations": shares}},
    }
    path = folder / "launchdarkly.json"
    path.write_text(json.dumps({"flags": {"five": flag}}), encoding="utf-8")
    source = Files.new_data_source(paths=[str(path)])
    client = LDClient(Config("sdk-key", update_processor_class=source, send_events=False))
    contexts = [Context.create(user) for user in users]

    yield {
        "`launchdarkly-server-sdk` 9.18, `variation`, events off": lambda: sum(
            client.variation("five", context, False) for context in contexts
        )
    }
    client.close()  # type: ignore[no-untyped-call]  # the package says no types


def _growthbook(users: Sequence[str], _folder: Path) -> Iterator[dict[str, Run]]:
    rule = {"force": True, "coverage": _SHARE / 100, "hashAttribute": "id"}
    client = GrowthBook(features={"five": {"defaultValue": False, "rules": [rule]}})
    attributes = [{"id": user} for user in users]

    def run() -> int:
        included = 0
        for each in attributes:
            client.set_attributes(each)
            included += client.is_on("five")
        return included

    yield {"`growthbook` 4.0, `is_on`, one instance": run}
    client.destroy()


def _unleash(users: Sequence[str], folder: Path) -> Iterator[dict[str, Run]]:
    parameters = {"rollout": str(_SHARE), "stickiness": "userId", "groupId": "five"}
    strategy = {"name": "flexibleRollout", "parameters": parameters}
    feature = {"name": "five", "type": "release", "enabled": True, "strategies": [strategy]}
    cache = FileCache("bench", directory=str(folder))
    cache.bootstrap_from_dict({"version": 2, "features": [feature]})
    client = UnleashClient(
        _NOBODYS_URL, "bench", cache=cache, disable_metrics=True, disable_registration=True
    )
    client.initialize_client(fetch_toggles=False)
    contexts = [{"userId": user} for user in users]

    yield {
        "`UnleashClient` 6.9, `is_enabled`": lambda: sum(
            client.is_enabled("five", context) for context in contexts
        )
    }
    client.destroy()


def _openfeature(users: Sequence[str], folder: Path) -> Iterator[dict[str, Run]]:
    path = folder / "flags.json"
    anyio.run(_write, path)
    ours: AbstractProvider = ChatstreamFlagProvider(file=path)
    theirs: AbstractProvider = InMemoryProvider(
        {"five": InMemoryFlag("off", {"on": True, "off": False})}
    )
    contexts = [EvaluationContext(user) for user in users]
    api.set_provider_and_wait(ours, "ours")
    api.set_provider_and_wait(theirs, "theirs")

    def run_provider(provider: AbstractProvider) -> int:
        resolve = provider.resolve_boolean_details
        return sum(resolve("five", False, context).value for context in contexts)

    def run_client(domain: str) -> int:
        ask = api.get_client(domain).get_boolean_value
        return sum(ask("five", False, context) for context in contexts)

    yield {
        "ours: the OpenFeature provider alone": partial(run_provider, ours),
        "`openfeature-sdk` 0.10: its in-memory provider alone (deals nothing)": partial(
            run_provider, theirs
        ),
        "ours through `openfeature-sdk`, `get_boolean_value`": partial(run_client, "ours"),
        "its in-memory provider through `openfeature-sdk`": partial(run_client, "theirs"),
    }
    api.shutdown()


async def _write(path: Path) -> None:
    await FlagEditor(FileFlagStore(path)).put_flag("five", _FIVE, Request(Author("bench")))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.flags")
    parser.add_argument("--users", type=int, default=20_000, help="asked for in each round")
    parser.add_argument("--rounds", type=int, default=7, help="of which min and median are shown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
