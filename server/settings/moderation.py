"""What must not be said."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from server.settings.kinds import Seconds, lower, unset_if_empty


class ModerationSettings(BaseSettings):
    """Settings of the moderation; whether it is asked is each chatbot's own choice."""

    moderation_engine: Literal["auto", "openai", "words", "off"] = Field(
        "auto",
        description="Who judges texts of chatbots whose `moderation` is `flag` or `block`. `auto`:"
        " the list of words where there is one, then OpenAI's endpoint where its key is known."
        " `off`: nobody, whatever chatbots say.",
    )
    moderation_words_file: Path | None = Field(
        None, description="List of words and phrases that may not be said; one a line."
    )
    moderation_model: str = Field(
        "omni-moderation-latest", min_length=1, description="Model asked at OpenAI's endpoint."
    )
    moderation_base_url: str | None = Field(
        None,
        description="Another server that has `/moderations`; unset: OpenAI's own. With"
        " `MODERATION_ENGINE=openai` and no key of its own: that of OPENAI_BASE_URL.",
    )
    moderation_api_key: SecretStr | None = Field(
        None, description="Its key; unset: OPENAI_API_KEY, but not for a MODERATION_BASE_URL."
    )
    moderation_timeout_s: Seconds = Field(
        2.0, description="Seconds one check may take; then it is as if nobody could judge."
    )
    moderation_when_down: Literal["refuse", "allow"] = Field(
        "refuse",
        description="What becomes of texts under `block` that nobody can judge now: they are"
        " refused, or let through.",
    )
    moderation_max_parallel: int = Field(
        32, ge=1, le=1000, description="Checks at once in this process; more wait their turn."
    )

    _any_case_of_moderation = field_validator(
        "moderation_engine", "moderation_when_down", mode="before"
    )(lower)
    _empty_is_no_moderator = field_validator(
        "moderation_words_file", "moderation_api_key", mode="before"
    )(unset_if_empty)

    @field_validator("moderation_base_url", mode="before")
    @classmethod
    def _moderation_url(cls, value: object) -> object:
        if value in ("", None):
            return None
        if not str(value).startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value
