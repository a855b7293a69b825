"""Messages to a real mail server: with STARTTLS, with TLS from the start, without either."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as SmtpServer  # noqa: N811  # a class, not a constant
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from server.alerts.channels import ChannelError
from server.alerts.delivery import deliver
from server.alerts.mail import STEP_S, Mail
from server.alerts.mail_server import MailServer, parse_mail_server
from tests.server.alerts.notices import SENDER, a_notice
from tests.support.certificates import self_signed, trusting

PASSWORD = "canary p@ss"  # noqa: S105  # of a test
USER = "alerts"


@dataclass
class Mailbox:
    """What a mail server took, and what it is to say first."""

    refusals: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    signed_in: list[bytes] = field(default_factory=list)

    async def handle_DATA(  # noqa: N802  # aiosmtpd's
        self, _server: SmtpServer, session: Session, envelope: Envelope
    ) -> str:
        """Take a message."""
        if self.refusals:
            return self.refusals.pop(0)
        self.was_encrypted.append(session.ssl is not None)
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def sign_in(self, *given: Any) -> AuthResult:
        """Check who signs in."""
        login = given[4]
        assert isinstance(login, LoginPassword)
        self.signed_in.append(login.login)
        is_right = login == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)


@contextmanager
def mail_server(mailbox: Mailbox, **options: Any) -> Iterator[MailServer]:
    """Run a mail server in a thread of its own until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield MailServer("127.0.0.1", port, is_tls=False)
    finally:
        controller.stop()


def a_mail(server: MailServer, trust: ssl.SSLContext | None = None) -> Mail:
    """Return the channel to that server."""
    return Mail(
        server,
        from_address="Chatstream <alerts@example.com>",
        to_addresses=("ann@example.com", "bob@example.com"),
        sender=SENDER,
        trust=trust,
    )


async def refusal(mail: Mail) -> ChannelError:
    """Send a message once, and return why it was not taken."""
    with anyio.fail_after(20), pytest.raises(ChannelError) as caught:
        await mail.send(a_notice())
    assert "canary" not in repr(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's side and a client's."""
    folder: Path = tmp_path_factory.mktemp("tls")
    return self_signed(folder), trusting(folder)


async def test_a_message_is_a_mail_that_people_can_read() -> None:
    mailbox = Mailbox()
    with mail_server(mailbox) as server:
        await a_mail(server).send(a_notice(detail="größer als erlaubt"))

    (mail,) = mailbox.mails
    assert mail["Subject"] == "[shop] warning: Turns fail: the service is degraded."
    assert mail["From"] == "Chatstream <alerts@example.com>"
    assert mail["To"] == "ann@example.com, bob@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@example.com>")
    assert mail["Date"]
    assert mail.get_content().splitlines()[0] == "größer als erlaubt"


async def test_no_line_of_a_message_becomes_a_header() -> None:
    mailbox = Mailbox()
    with mail_server(mailbox) as server:
        await a_mail(server).send(a_notice(summary="Oh\r\nBcc: eve@example.com\r\n\r\nno"))

    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[shop] warning: Oh Bcc: eve@example.com no"


@pytest.mark.services
async def test_starttls_is_used_and_only_behind_it_somebody_signs_in(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    mailbox, (ours, theirs) = Mailbox(), tls
    options = {"tls_context": ours, "authenticator": mailbox.sign_in, "auth_required": True}
    with mail_server(mailbox, **options) as server:
        await a_mail(replace(server, user=USER, password=PASSWORD), theirs).send(a_notice())

    assert mailbox.was_encrypted == [True]
    assert mailbox.signed_in == [USER.encode()]


@pytest.mark.services
async def test_tls_from_the_first_byte(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    mailbox, (ours, theirs) = Mailbox(), tls
    with mail_server(mailbox, ssl_context=ours) as server:
        await a_mail(replace(server, is_tls=True), theirs).send(a_notice())

    assert len(mailbox.mails) == 1


@pytest.mark.services
@pytest.mark.parametrize("is_tls", [False, True])
async def test_a_certificate_that_nobody_vouches_for_is_refused(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], is_tls: bool
) -> None:
    mailbox, (ours, _) = Mailbox(), tls
    options = {"ssl_context": ours} if is_tls else {"tls_context": ours}
    with mail_server(mailbox, **options) as server:
        error = await refusal(a_mail(replace(server, is_tls=is_tls)))

    assert (error.reason, error.is_passing) == ("its certificate is not trusted", False)
    assert mailbox.mails == []


@pytest.mark.services
async def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    mailbox, ours = Mailbox(), self_signed(tmp_path, "DNS:mail.example.com")
    with mail_server(mailbox, tls_context=ours) as server:
        error = await refusal(a_mail(server, trusting(tmp_path)))

    assert error.reason == "its certificate is not trusted"


@pytest.mark.services
async def test_a_wrong_password_is_told_and_not_tried_again(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    mailbox, (ours, theirs) = Mailbox(), tls
    options = {"tls_context": ours, "authenticator": mailbox.sign_in, "auth_required": True}
    with mail_server(mailbox, **options) as server:
        error = await refusal(a_mail(replace(server, user=USER, password="canary"), theirs))  # noqa: S106

    assert (error.reason, error.is_passing) == ("signing in was refused (535)", False)


async def test_a_password_never_goes_without_tls() -> None:
    mailbox = Mailbox()
    options = {"authenticator": mailbox.sign_in, "auth_require_tls": False}
    with mail_server(mailbox, **options) as server:
        error = await refusal(a_mail(replace(server, user=USER, password=PASSWORD)))

    assert (error.reason, error.is_passing) == ("it offers no STARTTLS", False)
    assert mailbox.signed_in == []
    assert mailbox.mails == []


def test_without_tls_mail_goes_to_this_machine_only() -> None:
    hosts = ("localhost", "127.0.0.1", "127.8.8.8", "::1", "mail.example.com", "10.0.0.1")

    here = [host for host in hosts if MailServer(host, 25, is_tls=False).is_here]

    assert here == ["localhost", "127.0.0.1", "127.8.8.8", "::1"]


async def test_a_server_that_is_busy_gets_the_message_in_the_end() -> None:
    mailbox = Mailbox(refusals=["451 greylisted"])
    with mail_server(mailbox) as server, anyio.fail_after(20):
        await deliver(a_mail(server), a_notice())

    assert len(mailbox.mails) == 1


@pytest.mark.parametrize(
    ("said", "reason", "is_passing"),
    [
        ("451 later", "refused (451)", True),
        ("554 never", "refused (554)", False),
    ],
)
async def test_what_may_pass_is_told_from_what_will_not(
    said: str, reason: str, is_passing: bool
) -> None:
    with mail_server(Mailbox(refusals=[said])) as server:
        error = await refusal(a_mail(server))

    assert (error.reason, error.is_passing) == (reason, is_passing)


async def test_nobody_there_is_a_failure_that_may_pass() -> None:
    with mail_server(Mailbox()) as server:
        gone = server

    error = await refusal(a_mail(gone))

    assert error.is_passing


@pytest.mark.parametrize("is_tls", [False, True])
async def test_leaving_a_server_that_says_nothing_hangs_up_at_once(is_tls: bool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(5)
        mail = a_mail(MailServer("127.0.0.1", listener.getsockname()[1], is_tls=is_tls))

        with anyio.move_on_after(0.2) as left:
            await mail.send(a_notice())
        link, _ = listener.accept()

        with link:
            # Half of what a step may take: the thread did not wait for the end of it.
            link.settimeout(STEP_S / 2)
            while link.recv(4096):
                pass
    assert left.cancelled_caught


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", MailServer("mail.example.com", 587, is_tls=False)),
        ("smtps://mail.example.com", MailServer("mail.example.com", 465, is_tls=True)),
        (
            "smtps://al%40example.com:p%2Fw@mail.example.com:2465",
            MailServer("mail.example.com", 2465, True, "al@example.com", "p/w"),
        ),
        ("smtp://[::1]:25", MailServer("::1", 25, is_tls=False)),
    ],
)
def test_an_address_says_where_and_who(url: str, server: MailServer) -> None:
    assert parse_mail_server(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com:25",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:port",
        "smtp://canary@mail.example.com",
        "smtp://user:canary@",
        "smtps://mail.example.com/inbox",
        "smtps://mail.example.com?starttls=no",
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|port") as caught:
        parse_mail_server(url)

    assert "canary" not in str(caught.value)
