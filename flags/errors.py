"""What can go wrong with flags. Evaluation raises none of these: only reading and changing do.

FlagsError
├── FlagNotFoundError           there is no such flag or segment
├── FlagInvalidError            a definition breaks a rule; says where and what to do
│   └── ConditionError          a targeting condition cannot be understood
├── VersionConflictError        somebody else changed it since it was read
├── FlagRequiredError           the service cannot do without this flag
├── IdempotencyMismatchError    a key that came with another change before
├── RolloutRefusedError         a rollout cannot do this where it stands; says why and what to do
└── FlagStoreError              the store
    ├── FlagStoreUnavailableError   cannot be reached now; whether a write held is not known
    ├── FencedError                 somebody else leads by now; nothing was written
    └── FlagStoreDamagedError       what is stored cannot be read
"""


class FlagsError(Exception):
    """Base of all; `code` is stable, `retryable` says whether trying again can help."""

    code = "flags_error"
    retryable = False


class FlagNotFoundError(FlagsError):
    """There is no such flag or segment."""

    code = "flag_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class FlagInvalidError(FlagsError):
    """A definition breaks a rule.

    Args:
        path: Where, as in `rules.0.when.$or.1`.
        reason: What is wrong there, as the end of a sentence about it.
    """

    code = "flag_invalid"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or 'definition'}: {reason}")
        self.path = path
        self.reason = reason


class ConditionError(FlagInvalidError):
    """A targeting condition cannot be understood."""

    code = "condition_invalid"


class VersionConflictError(FlagsError):
    """A flag is not at the version that the caller has seen; read it again, then decide."""

    code = "version_conflict"

    def __init__(self, key: str, *, expected: int, version: int) -> None:
        super().__init__(f"{key} is at version {version}, not {expected}")
        self.key = key
        self.expected = expected
        self.version = version


class FlagRequiredError(FlagsError):
    """The service asks this flag: it cannot be deleted, nor change its type."""

    code = "flag_required"

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class IdempotencyMismatchError(FlagsError):
    """This idempotency key came with another change before; use a new key."""

    code = "idempotency_mismatch"


class RolloutRefusedError(FlagsError):
    """A rollout cannot do this where it stands.

    Args:
        said: Why, and what to do.
        wait_s: Seconds after which it can; None: waiting alone does not help.
    """

    code = "rollout_refused"

    def __init__(self, said: str, *, wait_s: float | None = None) -> None:
        super().__init__(said)
        self.wait_s = wait_s


class FlagStoreError(FlagsError):
    """The store failed."""

    code = "flag_store_error"


class FlagStoreUnavailableError(FlagStoreError):
    """The store cannot be reached now. A write may have held: read before trying it again."""

    code = "flag_store_unavailable"
    retryable = True


class FencedError(FlagStoreError):
    """Somebody else leads by now, so this write was refused; stop deciding."""

    code = "fenced"


class FlagStoreDamagedError(FlagStoreError):
    """What the store holds cannot be read."""

    code = "flag_store_damaged"
