"""Figures of merged tallies are those of all times together, and thresholds judge them."""

import statistics
from pathlib import Path

import pytest

from loadtests.people import profiles
from loadtests.people.figures import Result, Sample, Verdict
from loadtests.people.profiles import Profile, ProfileError, Threshold
from loadtests.people.report import page
from loadtests.people.report.charts import Chart, Line, svg
from loadtests.people.tally import Tally, quantile_ms

_TIMES_S = [0.0001 * (1.013**place) for place in range(900)]


def smoke() -> Profile:
    """Return a profile of the file."""
    return profiles.profile("smoke")


def result(tally: Tally, samples: list[Sample] | None = None) -> Result:
    """Return what became of a run in which this was counted."""
    return Result.of(smoke(), tally.taken(), samples or [])


def good_run() -> Tally:
    """Return what a run counts that holds the thresholds of `smoke`."""
    moments = iter(range(10_000))
    tally = Tally(clock=lambda: 1000.0 + next(moments) / 100)
    tally.counted("arrivals", 8)
    tally.counted("turns", 200)
    for what in ("ttft", "gap", "resume", "whole", "lag"):
        tally.took(what, 0.02)
    return tally


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
def test_quantiles_over_processes_are_those_of_all_times_within_one_percent(percent: int) -> None:
    workers = [Tally(clock=lambda: 7.0) for _ in range(3)]
    for place, time_s in enumerate(_TIMES_S):
        workers[place % 3].took("ttft", time_s)
    master = Tally()
    for worker in workers:
        master.add(worker.taken())
        assert worker.seconds == {}

    seen_ms = quantile_ms(master.whole().times["ttft"], percent)

    true_ms = (
        1e3 * statistics.quantiles(_TIMES_S, n=1000, method="inclusive")[min(percent * 10, 999) - 1]
    )
    assert seen_ms == pytest.approx(true_ms, rel=0.025)


def test_counts_and_errors_of_processes_add_up_by_the_second() -> None:
    one, two, master = Tally(lambda: 5.2), Tally(lambda: 5.9), Tally()
    for tally in (one, two):
        tally.counted("turns", 2)
        tally.erred("silence")
        master.add(tally.taken())

    assert list(master.seconds) == [5]
    assert master.seconds[5].counts == {"turns": 4}
    assert master.whole().errors == {"silence": 2}


def test_a_good_run_holds_every_threshold() -> None:
    judged = result(good_run())

    assert [v.line() for v in judged.verdicts() if not v.is_held] == []
    assert judged.is_held()


@pytest.mark.parametrize(
    ("what", "number", "figure"),
    [
        ("lost_tokens", 1, "lost_tokens"),
        ("doubled_tokens", 1, "doubled_tokens"),
        ("broken_promises", 1, "broken_promises"),
        ("generator_faults", 1, "generator_faults"),
        ("bad_turns", 3, "errors_percent"),
        ("bad_arrivals", 3, "errors_percent"),
    ],
)
def test_a_count_above_its_threshold_misses_it(what: str, number: int, figure: str) -> None:
    tally = good_run()
    tally.counted(what, number)

    missed = [v.threshold.figure for v in result(tally).verdicts() if not v.is_held]

    assert missed == [figure]


@pytest.mark.parametrize("what", ["ttft", "gap", "resume", "lag"])
def test_times_above_their_threshold_miss_it(what: str) -> None:
    tally = good_run()
    for _ in range(20):
        tally.took(what, 5.0)

    missed = [v.threshold.figure for v in result(tally).verdicts() if not v.is_held]

    assert [figure.partition("_")[0] for figure in missed] == [what]


def test_a_run_in_which_nothing_was_measured_is_missed() -> None:
    judged = result(Tally())

    lines = [v.line() for v in judged.verdicts()]
    assert not judged.is_held()
    assert any("ttft_p95_ms" in line and "not measured" in line for line in lines)


def test_bounds_are_part_of_what_is_held() -> None:
    both = Threshold("turns", 10, 20)

    seen = {number: Verdict(both, number).is_held for number in (9.9, 10, 20, 20.1)}

    assert seen == {9.9: False, 10: True, 20: True, 20.1: False}
    assert Verdict(both, 9.9).line() == "MISSED  turns                       9.90  <= 20 and >= 10"


def test_memory_that_grows_behind_the_first_third_is_told() -> None:
    samples = [Sample(float(at), (100 + max(0, at - 30)) << 20, at / 2, at / 4) for at in range(90)]

    found = result(good_run(), samples).figures()

    assert 48 <= found["server_grown_mib"] <= 58
    assert found["server_cpu_percent"] == pytest.approx(50)
    assert found["server_waited_percent"] == pytest.approx(25)


def test_all_profiles_of_the_file_are_good() -> None:
    wanted = {"smoke", "sustained", "ramp", "spike", "soak", "reconnect-storm"}

    assert set(profiles.names()) == wanted
    assert all(profiles.profile(name).thresholds for name in wanted)
    assert profiles.profile("soak").duration_s == 1200
    assert profiles.profile("soak", seconds=60).duration_s == pytest.approx(60)


def test_a_stage_lasts_as_long_as_it_says() -> None:
    spike = profiles.profile("spike")

    users = [stage and stage.users for stage in map(spike.stage_at, (0, 29, 30, 60, 89, 90))]

    assert users == [20, 20, 100, 20, 20, None]


_OWN = '\n[mine]\nabout = "x"\nstages = [{ for_s = 5, users = 3, spawn_per_s = 1 }]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a", "cannot be read"),
        ("", "there is no profile 'mine'"),
        (_OWN.replace("users = 3", "users = 3000"), "1 to 2000 users"),
        (_OWN.replace("for_s = 5", "for_s = 5000"), "up to 3600 s"),
        (_OWN.replace("users = 3", "user = 3"), "user"),
        (_OWN + "people = { cut = 1.5 }", "cut is a probability"),
        (_OWN + "people = { cuts = 0.5 }", "cuts"),
        (_OWN + "thresholds = { turns = { about = 3 } }", "turns wants min or max"),
        (_OWN + "speed = 3", "unknown: speed"),
    ],
)
def test_a_profile_that_cannot_be_run_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    defaults = profiles.PROFILES.read_text(encoding="utf-8").partition("[smoke]")[0]
    path = tmp_path / "profiles.toml"
    path.write_text(defaults + text, encoding="utf-8")

    with pytest.raises(ProfileError, match=told) as refused:
        profiles.profile("mine", path)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:80"])
def test_this_machine_may_be_loaded(url: str) -> None:
    profiles.check_host(url, is_owned=False)


def test_another_machine_is_loaded_only_by_who_says_that_it_is_theirs() -> None:
    with pytest.raises(ProfileError, match="--i-own-this-host"):
        profiles.check_host("https://chat.example.com", is_owned=False)
    profiles.check_host("https://chat.example.com", is_owned=True)
    with pytest.raises(ProfileError, match="no address"):
        profiles.check_host("chat.example.com", is_owned=True)


def test_the_report_tells_verdict_figures_and_errors_in_one_file() -> None:
    tally = good_run()
    tally.erred("<b>silence</b>")
    samples = [Sample(1000.0 + at, 100 << 20, at / 4) for at in range(20)]

    written = page(result(tally, samples), "a machine")

    assert "All thresholds held" in written
    assert "&lt;b&gt;silence" in written
    assert "<b>silence" not in written
    assert written.count("<svg") >= 7
    for outside in ("<script", "http://", "https://", "src=", "url("):
        assert outside not in written


def test_a_line_with_a_gap_begins_anew_behind_it() -> None:
    drawn = svg(Chart("T", "ms", [Line("p50", [(1, 5.0), (2, None), (3, 7.0), (4, 9.0)])], 8.0))

    path = drawn.partition('<path class="line-1" d="')[2].partition('"')[0]
    assert path.count("M") == 2
    assert path.count("L") == 1
    assert 'class="limit"' in drawn
