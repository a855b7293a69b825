"""Messages by e-mail, over SMTP with TLS.

The standard library's client blocks, so it runs in a thread; whoever stops waiting closes its
connection, which ends the thread.
"""

import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

import structlog
from anyio import CapacityLimiter, to_thread

from server.alerts.channels import ChannelError, ChannelName
from server.alerts.mail_server import MailServer
from server.alerts.model import Notice
from server.alerts.wording import Sender, body, subject_line

log = structlog.get_logger(__name__)

STEP_S = 10.0
"""For connecting, and for each further step of the conversation."""

_READY = 220
_FIRST_LASTING_REFUSAL = 500


class Mail:
    """Hands messages to a mail server, a connection for each.

    TLS is a must, but for a server on this machine; a password never goes without it.

    Args:
        server: Where mail is handed in.
        from_address: Whom it is from.
        to_addresses: Whom it is for.
        sender: Who speaks.
        trust: Whom certificates are believed; the system's authorities if None.
    """

    name: ChannelName = "email"

    def __init__(
        self,
        server: MailServer,
        *,
        from_address: str,
        to_addresses: Sequence[str],
        sender: Sender,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._from = from_address
        self._to = tuple(to_addresses)
        self._sender = sender
        self._trust = trust
        self._one_at_a_time = CapacityLimiter(1)

    async def send(self, notice: Notice) -> None:
        message = self._message(notice)
        conversation = _Conversation(self._server, self._trust)
        try:
            await to_thread.run_sync(
                conversation.hand_in,
                message,
                abandon_on_cancel=True,
                limiter=self._one_at_a_time,
            )
        except (OSError, _NoTlsError, UnicodeError, ValueError) as error:
            raise _translated(error) from None
        finally:
            conversation.hang_up()

    async def close(self) -> None:
        return

    def _message(self, notice: Notice) -> EmailMessage:
        now = datetime.now(UTC)
        message = EmailMessage()
        message["Subject"] = subject_line(notice, self._sender)
        message["From"] = self._from
        message["To"] = ", ".join(self._to)
        message["Date"] = format_datetime(now)
        message["Message-ID"] = make_msgid(domain=self._from.rpartition("@")[2].strip("> "))
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes, please
        message.set_content(body(notice, self._sender, now) + "\n")
        return message


class _Conversation(smtplib.SMTP):
    """One connection to a mail server, in a thread; nothing is connected yet.

    The library's own two classes connect while they are made: nobody could hang up meanwhile.
    """

    def __init__(self, server: MailServer, trust: ssl.SSLContext | None) -> None:
        super().__init__(timeout=STEP_S)
        self._host = server.host  # the library's: whose name a certificate must bear
        self._server = server
        self._trust = trust
        self._links: list[socket.socket] = []
        self._is_over = False

    def hand_in(self, message: EmailMessage) -> None:
        """Connect, hand a message in, and hang up.

        Raises:
            OSError: also all of the library's.
        """
        try:
            code, _ = self.connect(self._server.host, self._server.port)
            if code != _READY:
                raise smtplib.SMTPConnectError(code, "")
            self._encrypt()
            if self._server.user:
                self._sign_in(self._server.user, self._server.password)
            refused = self.send_message(message)
            if refused:  # the others have it: told, not tried again
                log.warning("alert.recipients_refused", recipients=len(refused))
            with suppress(OSError):
                self.quit()
        finally:
            self.close()
            for link in self._links:
                link.close()

    def _encrypt(self) -> None:
        server = self._server
        if server.is_tls:
            return
        self.ehlo_or_helo_if_needed()
        if self.has_extn("starttls"):
            self.starttls(context=self._authorities())
            self._keep(self.sock)
            self.ehlo()
        elif server.user or not server.is_here:
            raise _NoTlsError

    def _sign_in(self, user: str, password: str) -> None:
        self.ehlo_or_helo_if_needed()
        if "PLAIN" in self.esmtp_features.get("auth", "").upper().split():
            # Not by one way after another, as `login` does: who refuses us may hang up on the
            # second, and then the first one's reason is lost.
            self.user, self.password = user, password
            self.auth("PLAIN", self.auth_plain)
        else:
            self.login(user, password)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect, as the library asks for; with TLS at once where the address says so."""
        link = self._keep(socket.create_connection((host, port), timeout))
        if self._server.is_tls:
            trust = self._authorities()
            secure = trust.wrap_socket(link, server_hostname=host, do_handshake_on_connect=False)
            self._keep(secure)
            secure.do_handshake()
            return secure
        return link

    def _authorities(self) -> ssl.SSLContext:
        return self._trust or ssl.create_default_context()

    def _keep(self, link: socket.socket | None) -> socket.socket:
        if link is None or self._is_over:
            if link is not None:
                link.close()
            raise TimeoutError
        self._links.append(link)
        return link

    def hang_up(self) -> None:
        """End the conversation, from another thread; safe at any time."""
        self._is_over = True
        for link in self._links:
            with suppress(OSError):
                # Not the method of a TLS socket, which takes away what the other thread reads by.
                socket.socket.shutdown(link, socket.SHUT_RDWR)


class _NoTlsError(Exception):
    """The server takes mail in the clear only."""


_REASONS: tuple[tuple[type[Exception], str, bool], ...] = (
    (_NoTlsError, "it offers no STARTTLS", False),
    (smtplib.SMTPNotSupportedError, "it lets nobody sign in", False),
    (ssl.SSLCertVerificationError, "its certificate is not trusted", False),
    (TimeoutError, "no answer in time", True),
    (OSError, "cannot be reached, or hung up", True),
    (ValueError, "the message cannot be sent so", False),
)
"""What operators are told, the nearest first, and whether to try again; the library's own words
may quote addresses."""


def _translated(error: Exception) -> ChannelError:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code = min(code for code, _ in error.recipients.values())
        return _refused(code, "all recipients were refused")
    if isinstance(error, smtplib.SMTPResponseException):
        is_sign_in = isinstance(error, smtplib.SMTPAuthenticationError)
        return _refused(error.smtp_code, "signing in was refused" if is_sign_in else "refused")
    for kind, reason, is_passing in _REASONS:
        if isinstance(error, kind):
            return ChannelError(reason, is_passing=is_passing)
    raise error


def _refused(code: int, what: str) -> ChannelError:
    return ChannelError(f"{what} ({code})", is_passing=code < _FIRST_LASTING_REFUSAL)
