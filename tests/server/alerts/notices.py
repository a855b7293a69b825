"""Messages to test with."""

from dataclasses import replace

from server.alerts.model import Notice, Section, Severity
from server.alerts.wording import Sender

SENDER = Sender("shop", "worker_1", 3600.0)


def a_notice(subject: str = "health:error_rate", **values: object) -> Notice:
    """Return a message that something has begun."""
    notice = Notice(
        subject=subject,
        severity=Severity.WARNING,
        summary="Turns fail: the service is degraded.",
        detail="error_rate is 0.05, above 0.02; 200 samples in 300 s.",
        section=Section.ERROR_RATE,
    )
    return replace(notice, **values)  # type: ignore[arg-type]  # by name
