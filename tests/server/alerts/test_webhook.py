"""Messages to a real HTTP server on a real socket."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import anyio
import pytest

from server.alerts.channels import ChannelError
from server.alerts.delivery import deliver
from server.alerts.webhook import Webhook
from tests.server.alerts.notices import SENDER, a_notice
from tests.support.certificates import self_signed
from tests.support.receiver import HANG, Receiver, answer, receiving


async def refusal(receiver: Receiver, url: str | None = None) -> ChannelError:
    """Send a message once, and return why it was not taken."""
    webhook = Webhook(url or receiver.url, SENDER)
    with anyio.fail_after(10), pytest.raises(ChannelError) as caught:
        await webhook.send(a_notice())
    await webhook.close()
    assert "canary-secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    return caught.value


async def test_a_message_is_json_that_slack_takes() -> None:
    async with receiving() as receiver:
        webhook = Webhook(receiver.url, SENDER)
        await webhook.send(a_notice())
        await webhook.close()

    ((path, body),) = receiver.posts
    lines = body["text"].splitlines()
    assert path == "/hook/canary-secret"
    assert set(body) == {"text"}
    assert lines[:3] == [
        "[shop] warning: Turns fail: the service is degraded.",
        "error_rate is 0.05, above 0.02; 200 samples in 300 s.",
        "What to do: docs/alerts.md#error-rate",
    ]
    assert lines[3].endswith(" UTC, worker_1")


async def test_an_end_says_so_and_how_often_the_same_is_told() -> None:
    async with receiving() as receiver:
        webhook = Webhook(receiver.url, SENDER)
        await webhook.send(a_notice(is_resolved=True, detail=""))
        await webhook.close()

    lines = receiver.texts[0].splitlines()
    assert lines[0] == "[shop] resolved: Turns fail: the service is degraded."
    assert lines[1] == "Should it come back: the same is told at most once in 60 min."


async def test_nothing_in_a_message_is_read_as_markup() -> None:
    async with receiving() as receiver:
        webhook = Webhook(receiver.url, SENDER)
        await webhook.send(a_notice(detail="why: <!channel> & <https://example.com|here>"))
        await webhook.close()

    assert "&lt;!channel&gt; &amp; &lt;https://example.com|here&gt;" in receiver.texts[0]


@pytest.mark.parametrize(
    ("status", "is_passing"),
    [(500, True), (503, True), (429, True), (408, True), (400, False), (403, False), (404, False)],
)
async def test_what_may_pass_is_told_from_what_will_not(status: int, is_passing: bool) -> None:
    async with receiving(answer(status)) as receiver:
        error = await refusal(receiver)

    assert (error.reason, error.is_passing) == (f"status {status}", is_passing)


async def test_a_redirect_is_not_followed() -> None:
    async with receiving() as elsewhere, receiving(answer(307, location=elsewhere.url)) as receiver:
        error = await refusal(receiver)

    assert not error.is_passing
    assert "redirect" in error.reason
    assert elsewhere.posts == []


async def test_who_says_when_to_come_back_is_heard() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    answers = [
        answer(429, retry_after="7"),
        answer(429, retry_after=at),
        answer(429, retry_after="soon"),
        answer(429, retry_after=f"Fri, 20 Nov {'9' * 20} 00:00:00 GMT"),
    ]
    async with receiving(*answers) as receiver:
        told = [(await refusal(receiver)).retry_after_s for _ in answers]

    assert told[0] == 7.0
    assert told[1] is not None
    assert 80 <= told[1] <= 90
    assert told[2:] == [None, None]


@pytest.mark.long  # it waits between its tries
async def test_a_receiver_that_fails_first_gets_the_message_in_the_end() -> None:
    async with receiving(
        answer(503), answer(429, retry_after="0"), b"not HTTP\r\n\r\n"
    ) as receiver:
        webhook = Webhook(receiver.url, SENDER)
        with anyio.fail_after(20):
            await deliver(webhook, a_notice())
        await webhook.close()

    assert len(receiver.posts) == 4
    assert len(set(receiver.texts)) <= 4


async def test_a_receiver_that_says_nothing_can_be_left_at_any_time() -> None:
    async with receiving(HANG) as receiver:
        webhook = Webhook(receiver.url, SENDER)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(webhook.send, a_notice())
                await receiver.until(lambda texts: len(texts) == 1)
                tasks.cancel_scope.cancel()
            await webhook.close()

    assert tasks.cancel_scope.cancelled_caught


async def test_nobody_there_is_a_failure_that_may_pass() -> None:
    async with receiving() as receiver:
        port = receiver.port

    error = await refusal(receiver, f"http://127.0.0.1:{port}/hook/canary-secret")

    assert (error.reason, error.is_passing) == ("cannot be reached", True)


@pytest.mark.services
async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with receiving(tls=self_signed(tmp_path)) as receiver:
        error = await refusal(receiver, receiver.url.replace("http:", "https:"))

    assert error.reason == "its certificate is not trusted"
    assert receiver.posts == []


async def test_an_address_that_is_none_is_told_without_it() -> None:
    async with receiving() as receiver:
        error = await refusal(receiver, "http://127.0.0.1/\0canary-secret")

    assert not error.is_passing
