"""What has begun and what has ended, from looks every few seconds."""

from server.alerts.model import Severity
from server.alerts.watch import GONE_FOR_S, Condition, Watch
from tests.server.alerts.notices import a_notice


class Looking:
    """A watch, and the time that passes between two looks."""

    def __init__(self) -> None:
        self.now = 100.0
        self.watch = Watch(lambda: self.now)

    def after(self, seconds: float, *conditions: Condition) -> list[str]:
        """Let time pass, look, and return the headings of what is told."""
        self.now += seconds
        return [notice.heading.partition(":")[0] for notice in self.watch.look(conditions)]


def test_what_is_amiss_is_told_once_it_has_lasted() -> None:
    looking, condition = Looking(), Condition(a_notice(), for_s=30)

    told = [looking.after(10, condition) for _ in range(5)]

    assert told == [[], [], [], ["warning"], ["warning"]]


def test_what_comes_and_goes_before_that_is_never_told() -> None:
    looking, condition = Looking(), Condition(a_notice(), for_s=30)

    told = [looking.after(20, condition), looking.after(20), looking.after(20, condition)]
    told += [looking.after(20, condition), looking.after(GONE_FOR_S)]

    assert told == [[], [], [], [], []]


def test_an_end_is_told_once_it_has_been_gone_for_a_while() -> None:
    looking, condition = Looking(), Condition(a_notice())
    looking.after(0, condition)

    told = [looking.after(5), looking.after(GONE_FOR_S - 10), looking.after(5), looking.after(5)]

    assert told == [["warning"], ["warning"], ["resolved"], []]


def test_what_flaps_has_no_end_in_between() -> None:
    looking, condition = Looking(), Condition(a_notice())

    told = [looking.after(50, condition) if n % 2 else looking.after(50) for n in range(1, 8)]

    assert told == [["warning"]] * 7


def test_what_becomes_graver_is_told_at_once_and_keeps_that_until_its_end() -> None:
    looking = Looking()
    mild, grave = a_notice(), a_notice(severity=Severity.CRITICAL)
    looking.after(0, Condition(mild, for_s=30))
    looking.after(30, Condition(mild, for_s=30))

    told = [looking.after(5, Condition(grave, for_s=30)), looking.after(5, Condition(mild))]

    assert told == [["critical"], ["critical"]]


def test_the_words_are_those_of_the_last_look() -> None:
    looking = Looking()
    looking.watch.look([Condition(a_notice())])

    (notice,) = looking.watch.look([Condition(a_notice(detail="error_rate is 0.07"))])

    assert notice.detail == "error_rate is 0.07"


def test_two_things_are_watched_apart() -> None:
    looking = Looking()
    first, second = Condition(a_notice("breaker:history")), Condition(a_notice("flags:stale"))
    looking.watch.look([first, second])

    looking.now += GONE_FOR_S
    told = looking.watch.look([first])

    assert [(notice.subject, notice.is_resolved) for notice in told] == [
        ("breaker:history", False),
        ("flags:stale", True),
    ]
