"""What is done about accounts and chatbots: by whom, to whom, why, and from where.

Every entry is logged as well (`audit.<action>`), before it is stored: a store that is lost loses no
trace. Secrets are in neither.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from starlette.requests import Request

from accounts.errors import AccountsError
from accounts.model import AuditEntry
from server.auth.caller import Caller
from server.ids import new_id
from server.wire import services_of

log = structlog.get_logger(__name__)

Details = Mapping[str, object]


async def audit(
    request: Request,
    action: str,
    subject: str,
    *,
    why: str = "",
    details: Details | None = None,
    who: str | None = None,
) -> None:
    """Write down what has been done. It stays done where the entry cannot be stored.

    The log then has it, beside an `audit.not_stored` of the level error.

    Args:
        request: With which it was done.
        action: Such as `user.signed_in`; stable.
        subject: What it was done to, such as a user id.
        why: As who did it said.
        details: What changed; never a secret.
        who: Who did it, where the request's credentials do not say so, as at a sign-in.
    """
    entry = _entry(request, action, subject, why=why, details=details, who=who)
    _tell(entry)
    try:
        await services_of(request).accounts.audit.add(entry)
    except AccountsError as error:
        log.error("audit.not_stored", entry_id=entry.entry_id, reason=error.code)  # noqa: TRY400  # no bug


@asynccontextmanager
async def audited(
    request: Request, action: str, subject: str, *, why: str = "", details: Details | None = None
) -> AsyncIterator[None]:
    """Write down what an operator is about to do, then have it done in the block.

    Nothing is done without an entry. Whatever is refused in the block has a second entry, the
    action with `.undone` behind it: a change that timed out may have held all the same.

    Raises:
        AccountsUnavailableError: the entry cannot be stored; the block was not entered.
    """
    entry = _entry(request, action, subject, why=why, details=details)
    _tell(entry)
    await services_of(request).accounts.audit.add(entry)
    try:
        yield
    except Exception as error:
        code = getattr(error, "code", type(error).__name__)
        told = {"entry_id": entry.entry_id, "code": code}
        await audit(request, f"{action}.undone", subject, details=told)
        raise


def who_asks(request: Request) -> str:
    """Return whom a request's credentials name: a user, a guest, or the proof of an operator."""
    caller: Caller = request.state.caller
    if caller.operator is not None:
        return caller.operator.removeprefix("user:")
    return "" if caller.owner is None else caller.owner.owner_id


def address_of(request: Request) -> str:
    """Return where a request comes from, as far as trusted proxies tell."""
    return "" if request.client is None else request.client.host


def _entry(
    request: Request,
    action: str,
    subject: str,
    *,
    why: str,
    details: Details | None,
    who: str | None = None,
) -> AuditEntry:
    return AuditEntry(
        entry_id=new_id("audit"),
        at=datetime.now(UTC),
        who=who_asks(request) if who is None else who,
        action=action,
        subject=subject,
        why=why,
        address=address_of(request),
        request_id=request.state.request_id,
        details={} if details is None else details,
    )


def _tell(entry: AuditEntry) -> None:
    event = f"audit.{entry.action}"
    log.info(
        event,
        entry_id=entry.entry_id,
        who=entry.who,
        subject=entry.subject,
        why=entry.why,
        address=entry.address,
        details=dict(entry.details),
    )
