"""API keys of server-to-server callers: `ck_<key id>_<43 characters>`, stored as a hash only."""

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from accounts.base import Accounts
from accounts.errors import AccountsUnavailableError, ApiKeyNotFoundError, UserNotFoundError
from accounts.model import ApiKey, Scope
from server.ids import new_id

MAX_KNOWN = 5_000
"""Keys that are remembered as good; of one more the store is asked."""
MAX_USES = 5_000
"""Uses that wait to be stored; of more the oldest are dropped."""
USED_EVERY_S = 60.0
CHAT_ONLY: frozenset[Scope] = frozenset({"chat"})
"""What the key of a user may be for who is no admin."""

_KEY = re.compile(r"ck_(?P<key_id>[a-z0-9_]{1,64})_[A-Za-z0-9_-]{43}", re.ASCII)


def new_key() -> tuple[str, str]:
    """Return a new key's id, and the key itself."""
    key_id = new_id("key")
    return key_id, f"ck_{key_id}_{secrets.token_urlsafe(32)}"


def key_hash(key: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whose key it is, and what it is good for now."""

    key_id: str
    user_id: str
    scopes: frozenset[Scope]
    expires_at: datetime | None


class ApiKeyProofs:
    """Tells whose a key is, and remembers it for a few seconds.

    A key that was revoked, or whose user was disabled, is worth nothing at once on the worker that
    did it, and within `check_s` elsewhere. While the store does not answer, keys that were good
    stay good.

    Args:
        accounts: The store.
        check_s: Seconds in which a key that was found good is not asked about again.
        clock: Monotonic seconds.
    """

    def __init__(
        self, accounts: Accounts, *, check_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._accounts = accounts
        self._check_s = check_s
        self._clock = clock
        self._known: OrderedDict[str, tuple[KeyHolder, float]] = OrderedDict()
        self._uses: OrderedDict[str, datetime] = OrderedDict()
        self._told_at: OrderedDict[str, float] = OrderedDict()
        self._changes = 0

    async def holder(self, key: str) -> KeyHolder | None:
        """Return who holds a key; None: it is worth nothing.

        Raises:
            AccountsUnavailableError: the store does not say, and the key is not remembered.
        """
        parsed = _KEY.fullmatch(key)
        if parsed is None:
            return None
        stored_as = key_hash(key)
        known, checked_at = self._known.get(stored_as, (None, -self._check_s))
        if known is None or self._clock() >= checked_at + self._check_s:
            try:
                known = await self._look(parsed["key_id"], stored_as)
            except AccountsUnavailableError:
                if known is None:
                    raise
        if known is None or _is_past(known.expires_at):
            self._known.pop(stored_as, None)
            return None
        self._note_use(known.key_id)
        return known

    def forget(self, user_id: str) -> None:
        """Ask the store about a user's keys anew: something was done about them."""
        self._changes += 1
        for stored_as, (holder, _) in list(self._known.items()):
            if holder.user_id == user_id:
                del self._known[stored_as]

    async def store_uses(self) -> None:
        """Store when keys were used last; each at most once a minute."""
        while self._uses:
            key_id, at = self._uses.popitem(last=False)
            await self._accounts.api_keys.used(key_id, at=at)

    async def _look(self, key_id: str, stored_as: str) -> KeyHolder | None:
        changes = self._changes
        try:
            key = await self._accounts.api_keys.get(key_id)
            if not hmac.compare_digest(key.key_hash, stored_as) or key.revoked_at is not None:
                return None
            user = await self._accounts.users.get(key.user_id)
        except (ApiKeyNotFoundError, UserNotFoundError):
            return None
        if user.is_disabled:
            return None
        scopes = key.scopes if user.role == "admin" else key.scopes & CHAT_ONLY
        holder = KeyHolder(key_id, key.user_id, scopes, key.expires_at)
        if changes == self._changes:  # else what was read may be old already
            self._known[stored_as] = holder, self._clock()
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return holder

    def _note_use(self, key_id: str) -> None:
        now = self._clock()
        if now < self._told_at.get(key_id, -USED_EVERY_S) + USED_EVERY_S:
            return
        self._told_at[key_id] = now
        self._uses[key_id] = datetime.now(UTC)
        for notes in (self._told_at, self._uses):
            if len(notes) > MAX_USES:
                notes.popitem(last=False)


def _is_past(at: datetime | None) -> bool:
    return at is not None and at <= datetime.now(UTC)


def is_alive(key: ApiKey) -> bool:
    """Say whether a key is neither revoked nor expired."""
    return key.revoked_at is None and not _is_past(key.expires_at)
