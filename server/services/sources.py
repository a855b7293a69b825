"""Who writes answers, as the settings say: a provider, another behind it, at the end a stand-in."""

from pydantic import SecretStr

from metrics.turns import TurnMetrics
from resilience.breaker import Breaker
from resilience.budget import RetryBudget
from server.services.services import ROOT
from server.settings import Settings
from streaming.llm.base import TokenSource
from streaming.llm.chain import (
    GuardedSource,
    SourceChain,
    SourceName,
    StandIn,
    watched_breaker,
)
from streaming.llm.prefixes import PrefixStyle


def open_sources(settings: Settings, metrics: TurnMetrics) -> SourceChain:
    """Return the models that answer; nothing is connected yet."""
    budget = RetryBudget(on_refused=metrics.retry_refused)
    opening = _Opening(settings, metrics, budget)
    if settings.is_offline:
        providers = [opening.guarded("primary", _offline(settings))]
    else:
        providers = opening.providers()
    needs_stand_in = settings.offline_last_resort and not settings.is_offline
    return SourceChain(
        providers,
        stand_in=opening.guarded("offline", StandIn(_offline(settings)))
        if needs_stand_in
        else None,
        budget=budget,
        metrics=metrics,
        max_continuations=settings.max_takeovers,
    )


class _Opening:
    """What all sources of a process are made with."""

    def __init__(self, settings: Settings, metrics: TurnMetrics, budget: RetryBudget) -> None:
        self._settings = settings
        self._metrics = metrics
        self._budget = budget

    def providers(self) -> list[GuardedSource]:
        """Return the provider, and the one behind it where there is one."""
        settings = self._settings
        primary = self._provider(
            "primary",
            settings.openai_base_url,
            settings.openai_api_key,
            model=settings.openai_model,
            prefix_style=settings.openai_prefix_style,
        )
        if not settings.has_fallback:
            return [primary]
        fallback = self._provider(
            "fallback",
            settings.fallback_base_url,
            settings.fallback_api_key,
            model=settings.fallback_model or settings.openai_model,
            prefix_style=settings.fallback_prefix_style,
        )
        return [primary, fallback]

    def guarded(self, name: SourceName, offline: TokenSource) -> GuardedSource:
        """Return the offline model, in whichever place."""
        breaker = watched_breaker(name, self._metrics)
        return GuardedSource(name, offline, kind="offline", breaker=breaker, metrics=self._metrics)

    def _provider(
        self,
        name: SourceName,
        base_url: str | None,
        key: SecretStr | None,
        *,
        model: str,
        prefix_style: PrefixStyle,
    ) -> GuardedSource:
        from streaming.llm.openai import OpenAITokenSource  # noqa: PLC0415  # half a second

        settings, metrics = self._settings, self._metrics
        breaker = watched_breaker(name, metrics)
        source = OpenAITokenSource(
            base_url=base_url,
            api_key=key.get_secret_value() if key else "none",
            default_model=model,
            connect_timeout_s=settings.connect_timeout_s,
            request_timeout_s=settings.first_token_timeout_s,
            max_retries=settings.openai_max_retries,
            prefix_style=prefix_style,
            may_retry=lambda: _may_retry(breaker, self._budget),
            on_retry=lambda _: metrics.source_retried(),
        )
        return GuardedSource(
            name,
            source,
            kind="openai",
            breaker=breaker,
            metrics=metrics,
            keeps_model=name == "primary",
            is_alone=not settings.has_fallback,
        )


def _may_retry(breaker: Breaker, budget: RetryBudget) -> bool:
    """Allow another try while others have not shown that it is in vain; a probe has only one."""
    return breaker.allows() and budget.spend()


def _offline(settings: Settings) -> TokenSource:
    from streaming.llm.offline import OfflineTokenSource  # noqa: PLC0415  # only what is used

    return OfflineTokenSource(docs_dir=ROOT / "docs", tokens_per_s=settings.offline_tokens_per_s)
