"""What is watched in this process, and who is told of it: set up from the settings."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic

from flags.model import Ruleset
from metrics.health import Check, HealthStatus, checks
from server.alerts.channels import Channel, ChannelError
from server.alerts.claims import Claims, MemoryClaims
from server.alerts.delivery import send_once
from server.alerts.desk import Desk
from server.alerts.model import Notice, Section, Severity
from server.alerts.rollouts import kill_notice, notices
from server.alerts.watch import Condition, Watch
from server.alerts.wording import Sender
from server.services.services import Services
from server.settings import Settings

LOOK_EVERY_S = 5.0
SEND_EVERY_S = 1.0

HEALTH_FOR_S = 30.0
"""The figures are those of five minutes: what is still so after this is no single turn."""

BREAKER_FOR_S = 60.0
STALE_FOR_S = 60.0

Round = tuple[str, Callable[[], Awaitable[object]], float]

_CHECKS = {
    "error_rate": ("Turns fail", Section.ERROR_RATE),
    "time_to_first_token_s": ("First words come late", Section.FIRST_WORDS),
    "event_loop_lag_s": ("The event loop is late", Section.EVENT_LOOP),
}

_TEST = Notice(
    subject="test",
    severity=Severity.INFO,
    summary="A test: messages reach you.",
    detail="Sent by `python -m server test-alert`.",
    section=Section.DELIVERY,
    lasts=False,
)


@asynccontextmanager
async def alerting(services: Services) -> AsyncIterator[Sequence[Round]]:
    """Yield the duties that watch and tell; none where nobody is to be told."""
    settings, worker_id = services.settings, services.worker_id
    channels = open_channels(settings, worker_id=worker_id)
    if not channels:
        yield ()
        return
    claims = _claims(settings, worker_id)
    desk = Desk(channels, claims, series=services.metrics.alerts, clock=monotonic)
    lookout = Lookout(services, desk)
    services.flags.client.on_change(lookout.rules_changed)
    try:
        yield (
            ("alerts_look", lookout.look, LOOK_EVERY_S),
            ("alerts_send", desk.work, SEND_EVERY_S),
        )
    finally:
        await desk.close()


def open_channels(settings: Settings, *, worker_id: str) -> list[Channel]:
    """Return the ways on which the settings want operators to be told; nothing is connected yet."""
    sender = Sender(settings.alert_name, worker_id, settings.alert_repeat_s)
    channels: list[Channel] = []
    if settings.alert_webhook_url is not None:
        from server.alerts.webhook import Webhook  # noqa: PLC0415  # only what is used

        channels.append(Webhook(settings.alert_webhook_url.get_secret_value(), sender))
    if settings.alert_email_to and settings.alert_smtp_url and settings.alert_email_from:
        from server.alerts.mail import Mail  # noqa: PLC0415  # only what is used
        from server.alerts.mail_server import parse_mail_server  # noqa: PLC0415

        mail = Mail(
            parse_mail_server(settings.alert_smtp_url.get_secret_value()),
            from_address=settings.alert_email_from,
            to_addresses=settings.alert_email_to,
            sender=sender,
        )
        channels.append(mail)
    return channels


async def send_test(settings: Settings) -> int:
    """Send a message on each way that is set up, once, and print what became of it.

    Returns 0 where all took it, else 1: also where no way is set up.
    """
    channels = open_channels(settings, worker_id="test-alert")
    if not channels:
        sys.stdout.write("Nobody is told: set ALERT_WEBHOOK_URL, or ALERT_EMAIL_TO.\n")
        return 1
    status = 0
    for channel in channels:
        try:
            await send_once(channel, _TEST)
        except ChannelError as error:
            status = 1
            sys.stdout.write(f"{channel.name}: not sent: {error.reason}\n")
        else:
            sys.stdout.write(f"{channel.name}: sent\n")
        finally:
            await channel.close()
    return status


def _claims(settings: Settings, worker_id: str) -> Claims:
    if settings.redis_url is None:
        return MemoryClaims(repeat_s=settings.alert_repeat_s, clock=monotonic)
    from server.alerts.redis_claims import RedisClaims  # noqa: PLC0415  # only what is used
    from storage.redis import RedisConnection  # noqa: PLC0415

    # One call at a time; the address was found good when the event log was opened.
    connection = RedisConnection(
        settings.redis_url.get_secret_value(),
        timeout_s=settings.redis_timeout_s,
        max_connections=1,
    )
    return RedisClaims(
        connection, worker_id=worker_id, repeat_s=settings.alert_repeat_s, clock=monotonic
    )


class Lookout:
    """Looks at the services of this process, and hands in what operators are to know.

    Args:
        services: What is watched.
        desk: Where messages are handed in.
        clock: Monotonic seconds.
    """

    def __init__(
        self, services: Services, desk: Desk, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._services = services
        self._desk = desk
        self._watch = Watch(clock)
        self._killed_here = services.flags.client.status.killed_here

    async def look(self) -> None:
        """Look at everything once: about a millisecond, and nobody is asked."""
        for notice in self._watch.look(conditions(self._services)):
            self._desk.post(notice)
        self._look_for_kills_here()

    def rules_changed(self, before: Ruleset, after: Ruleset) -> None:
        """Take a change of the flags."""
        for notice in notices(before, after, datetime.now(UTC)):
            self._desk.post(notice)

    def _look_for_kills_here(self) -> None:
        """Tell of kills by this machine's own file, which change no rules."""
        client = self._services.flags.client
        now, before = client.status.killed_here, self._killed_here
        self._killed_here = now
        for key in sorted(now ^ before):
            place = f"here:v{client.status.version}"
            detail = "By KILLED_FLAGS or the file killed-flags in DATA_DIR, on this machine."
            self._desk.post(kill_notice(key, place, is_killed=key in now, detail=detail))


def conditions(services: Services) -> Iterator[Condition]:
    """Yield what is amiss now, as this process sees it; asks nobody."""
    snapshot = services.metrics.snapshot()
    for check in checks(snapshot):
        if check.status is not HealthStatus.HEALTHY:
            yield Condition(_unwell(check, snapshot.window_s), HEALTH_FOR_S)
    yield from _breakers(services)
    yield from _stores(services)


def _unwell(check: Check, window_s: float) -> Notice:
    is_grave = check.status is HealthStatus.UNHEALTHY
    limit = check.unhealthy_above if is_grave else check.degraded_above
    what, section = _CHECKS.get(check.name, (f"{check.name} is too high", Section.ERROR_RATE))
    return Notice(
        subject=f"health:{check.name}",
        severity=Severity.CRITICAL if is_grave else Severity.WARNING,
        summary=f"{what}: the service is {check.status.word}.",
        detail=f"{check.name} is {check.value:.3g}, above {limit:g}; {check.samples} samples in"
        f" {window_s:g} s.",
        section=section,
    )


def _breakers(services: Services) -> Iterator[Condition]:
    sources = [each for each in services.sources.health() if each.kind != "offline"]
    are_all_open = all(each.breaker.state != "closed" for each in sources)
    for source in sources:
        if source.breaker.state != "closed":
            severity = Severity.CRITICAL if are_all_open else Severity.WARNING
            code = f"Last error: {source.error_code}." if source.error_code else ""
            yield _left_alone(f"model:{source.name}", Section.BREAKER_MODEL, severity, code)
    for engine in services.studio.maker.health():
        if engine.breaker.state != "closed":
            yield _left_alone(f"speech:{engine.engine}", Section.BREAKER_SPEECH, Severity.WARNING)
    history = services.history_breaker
    if history is not None and history.state != "closed":
        yield _left_alone("history", Section.BREAKER_HISTORY, Severity.CRITICAL)


def _left_alone(name: str, section: Section, severity: Severity, detail: str = "") -> Condition:
    shown = name.replace(":", " ")
    summary = f"The {shown} keeps failing and is left alone."
    notice = Notice(f"breaker:{name}", severity, summary, section, detail)
    return Condition(notice, BREAKER_FOR_S)


def _stores(services: Services) -> Iterator[Condition]:
    breaker = services.redis_breaker
    is_left_alone = breaker is not None and breaker.state != "closed"
    if services.leases is not None and (services.event_log.is_down or is_left_alone):
        summary = "Redis is lost: turns are not shared with other workers."
        detail = "Answers go on; what a worker that dies now has not shared is lost."
        notice = Notice("breaker:redis", Severity.CRITICAL, summary, Section.BREAKER_REDIS, detail)
        yield Condition(notice, BREAKER_FOR_S)
    status = services.flags.client.status
    if status.is_stale:
        summary = "The flags are out of date: their store cannot be reached."
        detail = f"Served: version {status.version}, from the {status.source.value}."
        yield Condition(
            Notice("flags:stale", Severity.WARNING, summary, Section.FLAGS_STALE, detail),
            STALE_FOR_S,
        )
