"""Who judges what may not be said, as the settings say."""

from contextlib import AsyncExitStack

import structlog

from metrics.turns import TurnMetrics
from resilience.breaker import Breaker, BreakerState
from server.services.faults import StartError
from server.settings import Settings
from streaming.moderation.base import Moderator
from streaming.moderation.checks import Checks
from streaming.moderation.guarded import GuardedModerator, ModeratorLimits

log = structlog.get_logger(__name__)


def open_checks(settings: Settings, stack: AsyncExitStack, metrics: TurnMetrics) -> Checks | None:
    """Return the checks, None where they are switched off; nothing is connected yet.

    Raises:
        StartError: what MODERATION_ENGINE names cannot be used, or the list of words is none.
    """
    if settings.moderation_engine == "off":
        return None
    found = [_words(settings), _openai(settings)]
    limits = ModeratorLimits(
        timeout_s=settings.moderation_timeout_s, parallel=settings.moderation_max_parallel
    )
    guarded = [
        GuardedModerator(
            moderator,
            Breaker(f"moderation.{moderator.name}", on_change=_log_change),
            limits,
            observe=metrics.moderation.took,
        )
        for moderator in found
        if moderator is not None
    ]
    checks = Checks(guarded, metrics.moderation, when_down=settings.moderation_when_down)
    stack.push_async_callback(checks.close)
    return checks


def _words(settings: Settings) -> Moderator | None:
    path = settings.moderation_words_file
    if settings.moderation_engine == "openai":
        return None
    if path is None:
        if settings.moderation_engine == "words":
            raise StartError("MODERATION_ENGINE=words: set MODERATION_WORDS_FILE to a list.")
        return None
    from streaming.moderation.words import (  # noqa: PLC0415  # only what is used
        WordListError,
        WordModerator,
        read_word_list,
    )

    try:
        return WordModerator(read_word_list(path))
    except OSError as error:
        raise StartError(
            f"MODERATION_WORDS_FILE {path} cannot be read ({error.strerror})."
        ) from None
    except WordListError as error:
        raise StartError(f"MODERATION_WORDS_FILE {path} cannot be used: {error}.") from None


def _openai(settings: Settings) -> Moderator | None:
    if not _asks_openai(settings):
        return None
    from streaming.moderation.openai import OpenAIModerator  # noqa: PLC0415  # half a second

    base_url, key = settings.moderation_base_url, settings.moderation_api_key
    if base_url is None and key is None:  # else a key would go where it does not belong
        base_url, key = settings.openai_base_url, settings.openai_api_key
    return OpenAIModerator(
        base_url=base_url,
        api_key=key.get_secret_value() if key else "",
        model=settings.moderation_model,
        connect_timeout_s=min(settings.connect_timeout_s, settings.moderation_timeout_s),
    )


def _asks_openai(settings: Settings) -> bool:
    is_set = bool(settings.moderation_base_url or settings.moderation_api_key)
    if settings.moderation_engine == "openai":
        if not (is_set or settings.openai_api_key or settings.openai_base_url):
            raise StartError(
                "MODERATION_ENGINE=openai: set OPENAI_API_KEY, MODERATION_API_KEY or"
                " MODERATION_BASE_URL."
            )
        return True
    # Most servers of models have no such endpoint: another one's is not taken for granted.
    has_openais_key = settings.openai_api_key is not None and settings.openai_base_url is None
    return settings.moderation_engine == "auto" and (is_set or has_openais_key)


def _log_change(name: str, before: BreakerState, after: BreakerState) -> None:
    level = log.warning if after is BreakerState.OPEN else log.info
    level("moderation.breaker", name=name, before=before.value, after=after.value)
