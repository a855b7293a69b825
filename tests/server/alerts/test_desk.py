"""Where messages wait: a bound, an order, and one sender."""

from collections.abc import Callable

import anyio
import pytest
from prometheus_client import CollectorRegistry

from metrics.alerts import AlertSeries
from server.alerts.channels import ChannelError, ChannelName
from server.alerts.claims import MAX_AN_HOUR, Claims, MemoryClaims
from server.alerts.desk import GIVE_UP_S, MAX_WAITING, TRY_AGAIN_S, Desk
from server.alerts.model import Notice, Severity
from tests.server.alerts.notices import a_notice


class Kept:
    """A channel that keeps what it is sent, or refuses it."""

    def __init__(
        self, name: ChannelName = "webhook", *, refuses: bool = False, breaks: bool = False
    ) -> None:
        self.name = name
        self.refuses = refuses
        self.breaks = breaks
        self.sent: list[Notice] = []

    async def send(self, notice: Notice) -> None:
        if self.refuses:
            raise ChannelError("status 404", is_passing=False)
        if self.breaks:
            raise OverflowError("https://hooks.example.com/services/canary")
        self.sent.append(notice)

    async def close(self) -> None:
        return

    @property
    def headings(self) -> list[str]:
        """What was sent, in order."""
        return [notice.heading.partition(":")[0] for notice in self.sent]


class Posting(Kept):
    """A channel that takes so long that something else happens meanwhile."""

    post: Callable[[], None] | None = None

    async def send(self, notice: Notice) -> None:
        await super().send(notice)
        happens, self.post = self.post, None
        if happens is not None:
            happens()


class Office:
    """A desk, its channels, and the time that passes."""

    def __init__(self, *channels: Kept, claims: Claims | None = None) -> None:
        self.now = 0.0
        self.registry = CollectorRegistry()
        self.channels = channels or (Kept(),)
        self.desk = Desk(
            self.channels,
            claims or MemoryClaims(repeat_s=3600.0, clock=lambda: self.now),
            series=AlertSeries(self.registry),
            clock=lambda: self.now,
        )

    async def after(self, seconds: float, *notices: Notice) -> list[str]:
        """Let time pass, post these, work, and return what the first channel has had so far."""
        self.now += seconds
        for notice in notices:
            self.desk.post(notice)
        with anyio.fail_after(5):
            await self.desk.work()
        return self.channels[0].headings

    def counted(self, channel: str, outcome: str) -> float:
        """Return a count."""
        labels = {"channel": channel, "outcome": outcome}
        return self.registry.get_sample_value("chat_alerts_total", labels) or 0.0


async def test_a_message_goes_out_on_every_channel() -> None:
    webhook, mail = Kept("webhook"), Kept("email")
    office = Office(webhook, mail)

    await office.after(0, a_notice())

    assert webhook.sent == mail.sent == [a_notice()]
    assert office.counted("webhook", "sent") == office.counted("email", "sent") == 1


async def test_what_lasts_is_told_once_in_its_time_and_then_again() -> None:
    office = Office()

    for _ in range(1000):
        await office.after(5, a_notice())

    assert office.channels[0].headings == ["warning", "warning"]


async def test_the_end_follows_the_beginning() -> None:
    office = Office()
    await office.after(0, a_notice())

    told = await office.after(5, a_notice(is_resolved=True))

    assert told == ["warning", "resolved"]


async def test_what_ended_before_it_could_be_told_is_not_told_at_all() -> None:
    office = Office()
    office.desk.post(a_notice())

    told = await office.after(0, a_notice(is_resolved=True))

    assert told == []


async def test_a_message_that_one_channel_takes_is_told() -> None:
    broken, works = Kept("email", refuses=True), Kept("webhook")
    office = Office(broken, works)

    await office.after(0, a_notice())
    await office.after(TRY_AGAIN_S, a_notice())

    assert works.headings == ["warning"]
    assert office.counted("email", "failed") == 1


async def test_a_channel_that_breaks_holds_up_neither_the_other_nor_what_comes_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken, works = Kept("email", breaks=True), Kept("webhook")
    office = Office(broken, works)

    await office.after(0, a_notice("breaker:redis"), a_notice("breaker:history"))

    assert [notice.subject for notice in works.sent] == ["breaker:redis", "breaker:history"]
    assert office.counted("email", "failed") == 2
    assert "canary" not in "".join(capsys.readouterr())


async def test_a_message_that_nobody_takes_is_tried_again_and_given_up_in_the_end() -> None:
    channel = Kept(refuses=True)
    office = Office(channel)
    event = a_notice("rollout:streaming:v8", lasts=False)

    await office.after(0, event)
    for _ in range(100):
        await office.after(TRY_AGAIN_S / 2)
    channel.refuses = False
    await office.after(TRY_AGAIN_S)

    assert channel.sent == []
    assert office.counted("webhook", "failed") == GIVE_UP_S / TRY_AGAIN_S + 1
    assert office.counted("none", "dropped") == 1


async def test_what_failed_is_sent_once_the_channel_is_back() -> None:
    channel = Kept(refuses=True)
    office = Office(channel)
    await office.after(0, a_notice(lasts=False))

    channel.refuses = False
    assert await office.after(TRY_AGAIN_S / 2) == []

    assert await office.after(TRY_AGAIN_S / 2) == ["warning"]


async def test_only_so_many_wait_and_the_oldest_are_dropped_and_counted() -> None:
    channel = Kept(refuses=True)
    office = Office(channel)
    for n in range(MAX_WAITING + 7):
        office.desk.post(a_notice(f"rollout:streaming:v{n}", lasts=False))

    assert office.counted("none", "dropped") == 7


async def test_after_twenty_in_an_hour_one_more_says_so_and_the_rest_waits() -> None:
    office = Office()
    events = [a_notice(f"rollout:streaming:v{n}", lasts=False) for n in range(MAX_AN_HOUR + 5)]

    await office.after(0, *events)
    await office.after(TRY_AGAIN_S)

    sent = office.channels[0].sent
    assert len(sent) == MAX_AN_HOUR + 1
    assert sent[-1].summary.startswith("20 messages within an hour: until it is over")
    assert office.counted("none", "held") == 5


async def test_what_still_lasts_after_that_hour_is_told_then() -> None:
    office = Office()
    events = [a_notice(f"rollout:streaming:v{n}", lasts=False) for n in range(MAX_AN_HOUR)]
    await office.after(0, *events)
    await office.after(5, a_notice())
    assert office.channels[0].sent[-1].subject == "alerts:full"

    for _ in range(60):
        await office.after(TRY_AGAIN_S, a_notice())

    assert office.channels[0].sent[-1] == a_notice()


async def test_the_gravest_goes_first_and_overtakes_what_came_before_it() -> None:
    office = Office(Posting())
    channel = office.channels[0]
    assert isinstance(channel, Posting)
    channel.post = lambda: office.desk.post(a_notice("late", severity=Severity.CRITICAL))
    told = [Severity.INFO, Severity.WARNING, Severity.INFO, Severity.CRITICAL, Severity.WARNING]

    await office.after(0, *(a_notice(f"s{n}", severity=each) for n, each in enumerate(told)))

    assert [notice.subject for notice in channel.sent] == ["s3", "late", "s1", "s4", "s0", "s2"]


async def test_what_is_critical_is_told_also_after_twenty_others() -> None:
    office = Office()
    held = [a_notice(f"rollout:streaming:v{n}", lasts=False) for n in range(MAX_AN_HOUR + 5)]
    await office.after(0, *held)

    rolled_back = a_notice("rollout:streaming:v99", severity=Severity.CRITICAL, lasts=False)
    told = await office.after(5, rolled_back)

    assert told[MAX_AN_HOUR:] == ["warning", "critical"]
    assert office.channels[0].sent[MAX_AN_HOUR].subject == "alerts:full"


async def test_tries_in_vain_use_up_none_of_the_hours_messages() -> None:
    channel = Kept(refuses=True)
    office = Office(channel)
    for _ in range(MAX_AN_HOUR + 5):
        await office.after(TRY_AGAIN_S, a_notice())
    channel.refuses = False

    assert await office.after(TRY_AGAIN_S, a_notice()) == ["warning"]
