"""The OpenFeature provider: answers from memory, whoever asks and from whatever thread."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderFatalError
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider import AbstractProvider, Metadata

from flags.client import Fallbacks
from flags.errors import FlagsError
from flags.model import Ruleset, Value
from flags.openfeature import answers
from flags.openfeature.background import Background, News
from flags.store.base import FlagStore
from flags.store.file import FileFlagStore
from flags.store.redis import RedisFlagStore

_T = TypeVar("_T")


class ChatstreamFlagProvider(AbstractProvider):
    """Chatstream's flags for a service that shares its Redis, or its file; it only reads them.

    An evaluation is a look into memory: no I/O, no lock, no wait, and it never raises. A daemon
    thread keeps the rules up to date, in forked processes too. Without the store the last rules
    known are served, and every reason is STALE. The targeting key is the unit of bucketing.

    Args:
        redis_url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`;
            this or `file`.
        file: The file of flags of a Chatstream that runs without Redis.
        snapshot_path: Where the last rules are kept for a start without the store; None: nowhere.
        bootstrap_path: A document of flags, for a start with neither store nor snapshot.
        ready_timeout_s: Seconds that `initialize` waits for the first rules.

    Raises:
        ValueError: not one of `redis_url` and `file` is given, or both.
        FlagStoreError: the address of Redis cannot be used.
    """

    def __init__(
        self,
        *,
        redis_url: str | None = None,
        file: Path | None = None,
        snapshot_path: Path | None = None,
        bootstrap_path: Path | None = None,
        ready_timeout_s: float = 3.0,
    ) -> None:
        super().__init__()
        open_store = _opener(redis_url, file)
        open_store()  # connects to nothing; a wrong address is to fail here, not in the background
        self._ready_timeout_s = ready_timeout_s
        self._nothing = Ruleset()
        fallbacks = Fallbacks(self._nothing, snapshot_path, bootstrap_path)
        self._background = Background(open_store, fallbacks, self._tell)

    def get_metadata(self) -> Metadata:
        return Metadata(name="chatstream-flags")

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002
        """Return when rules are known, at the latest after `ready_timeout_s`.

        Raises:
            ProviderFatalError: the bootstrap file is needed, and cannot be used.
        """
        self._background.start()
        try:
            self._background.wait(self._ready_timeout_s)
        except FlagsError as error:
            self._background.stop()
            raise ProviderFatalError(str(error)) from error
        self._background.speak()

    def shutdown(self) -> None:
        """End the thread and its connections, within 2 s; idempotent."""
        self._background.stop()

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        return self._resolve(flag_key, default_value, evaluation_context, answers.as_boolean)

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        return self._resolve(flag_key, default_value, evaluation_context, answers.as_string)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        return self._resolve(flag_key, default_value, evaluation_context, answers.as_integer)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        return self._resolve(flag_key, default_value, evaluation_context, answers.as_float)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: answers.Structure,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[answers.Structure]:
        return self._resolve(flag_key, default_value, evaluation_context, answers.as_structure)

    def _resolve(
        self,
        key: str,
        default: _T,
        context: EvaluationContext | None,
        fit: Callable[[Value], _T | None],
    ) -> FlagResolutionDetails[_T]:
        client = self._background.client
        if client is None:
            return answers.failed(default, ErrorCode.PROVIDER_NOT_READY, "it is not initialized")
        try:
            # Nearly every question has a plain key and no attributes: nothing is to be translated.
            if context and type(context.targeting_key) is str and not context.attributes:
                decision = client.decide(key, context.targeting_key, default=default)
            else:
                unit, attributes = answers.asked(context)
                decision = client.decide(key, unit, default=default, attributes=attributes)
            value = None if decision.error else fit(decision.value)
            if value is not None:
                return answers.resolved(decision, value)
            if client.ruleset is self._nothing:
                return answers.failed(default, ErrorCode.PROVIDER_NOT_READY, "no rules are known")
            return answers.refused(decision, default, wanted=fit.__name__.removeprefix("as_"))
        except Exception as error:  # noqa: BLE001  # told to whoever asked wrongly
            reason = f"the question cannot be understood ({type(error).__name__})"
            return answers.failed(default, ErrorCode.GENERAL, reason)

    def _tell(self, news: News) -> None:
        if news.changed:
            changed = ProviderEventDetails(flags_changed=list(news.changed))
            self.emit_provider_configuration_changed(changed)
        if news.is_stale:
            self.emit_provider_stale(ProviderEventDetails(message=news.fault))
        elif news.is_stale is False:
            self.emit_provider_ready(ProviderEventDetails())


def _opener(redis_url: str | None, file: Path | None) -> Callable[[], FlagStore]:
    if redis_url is not None and file is None:
        return lambda: RedisFlagStore(redis_url)
    if file is not None and redis_url is None:
        return lambda: FileFlagStore(file)
    raise ValueError("give redis_url or file, one of them")
