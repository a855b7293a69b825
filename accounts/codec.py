"""How accounts' values are written down in any store: instants, maps, cursors. Pure."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from accounts.model import AuditEntry, Page, User

SESSION_KEPT = timedelta(days=1)
"""After it expired: whoever comes back late is told that it is over, not that it never was."""

API_KEY_KEPT = timedelta(days=30)
"""After it expired or was revoked: people look for the key that stopped working."""

MAX_EMAIL_CHARS = 254
"""RFC 5321, section 4.5.3.1.3, less the angle brackets."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ENTRY_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_NOT_OURS = "The cursor is not one of this list's."


def to_ms(at: datetime) -> int:
    """Return whole milliseconds since 1970; what is finer is cut off."""
    return (at - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """Return the instant of `to_ms`, aware, UTC."""
    return _EPOCH + ms * _MILLISECOND


def to_optional_ms(at: datetime | None) -> int | None:
    """Return whole milliseconds since 1970, or None."""
    return None if at is None else to_ms(at)


def from_optional_ms(ms: int | None) -> datetime | None:
    """Return the instant of `to_optional_ms`, or None."""
    return None if ms is None else from_ms(ms)


def dump_details(details: Mapping[str, object]) -> str:
    """Return details as JSON; ASCII, so that a lone surrogate cannot break a store."""
    return json.dumps(dict(details), separators=(",", ":"), sort_keys=True)


def load_details(text: str) -> Mapping[str, object]:
    """Return the details that `dump_details` wrote."""
    loaded: dict[str, object] = json.loads(text)
    return loaded


def may_be_in_email(text: str) -> bool:
    """Say whether any stored address could hold the text; what cannot is not asked for."""
    return len(text) <= MAX_EMAIL_CHARS and text.isprintable()


def parse_user_cursor(cursor: str | None) -> str:
    """Return the address after which a page begins; none is less than any.

    Raises:
        ValueError: the cursor is not one of ours.
    """
    if cursor is None:
        return ""
    try:
        email = urlsafe_b64decode(cursor.encode("ascii")).decode()
    except ValueError:
        raise ValueError(_NOT_OURS) from None
    if not email or not may_be_in_email(email) or _user_cursor(email) != cursor:
        raise ValueError(_NOT_OURS)
    return email


def user_page(found: Sequence[User], limit: int) -> Page[User]:
    """Return a page of at most `limit`; one item more than that says that another follows."""
    items = tuple(found[:limit])
    return Page(items, _user_cursor(items[-1].email) if len(found) > limit else None)


def parse_audit_cursor(cursor: str | None) -> str:
    """Return the entry id before which a page ends; with none it is more than any.

    Raises:
        ValueError: the cursor is not one of ours.
    """
    if cursor is None:
        return "\x7f"
    if _ENTRY_ID.fullmatch(cursor) is None:
        raise ValueError(_NOT_OURS)
    return cursor


def audit_page(found: Sequence[AuditEntry], limit: int) -> Page[AuditEntry]:
    """Return a page of at most `limit`; one item more than that says that another follows."""
    items = tuple(found[:limit])
    return Page(items, items[-1].entry_id if len(found) > limit else None)


def _user_cursor(email: str) -> str:
    return urlsafe_b64encode(email.encode()).decode("ascii")
