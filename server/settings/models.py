"""The models: which, where, and how long they may take."""

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from server.settings.kinds import Seconds, unset_if_empty
from streaming.llm.prefixes import PrefixStyle


class ModelSettings(BaseSettings):
    """Settings of the model providers."""

    openai_api_key: SecretStr | None = Field(
        None, description="Key of the model provider; unset and no base URL: the offline model."
    )
    openai_base_url: str | None = Field(
        None, description="Any OpenAI-compatible API: OpenAI, vLLM, Ollama, llama.cpp."
    )
    openai_model: str = Field(
        "gpt-5-mini", min_length=1, description="Model asked when the chatbot names none."
    )
    openai_prefix_style: PrefixStyle = Field(
        "plain",
        description="How it is asked to go on with a broken answer: `plain` works everywhere,"
        " `continue_final_message` (vLLM, SGLang) and `prefix` (Mistral, DeepSeek) join better.",
    )
    fallback_base_url: str | None = Field(
        None, description="A second such API, asked where the first fails or is left alone."
    )
    fallback_api_key: SecretStr | None = Field(
        None, description="Its key; without a base URL that of OpenAI itself."
    )
    fallback_model: str | None = Field(
        None, description="Model asked there, whatever the chatbot names; unset: OPENAI_MODEL."
    )
    fallback_prefix_style: PrefixStyle = Field(
        "plain", description="As OPENAI_PREFIX_STYLE, of the second API."
    )
    offline_last_resort: bool = Field(
        False, description="Let the offline model answer where no provider can; it says so."
    )
    offline_tokens_per_s: float = Field(
        40.0, ge=0, le=100_000, description="Pace of the offline model; 0 does not wait."
    )
    connect_timeout_s: Seconds = Field(
        5.0, description="Seconds to reach the model provider; then it is tried again."
    )
    openai_max_retries: int = Field(
        2, ge=0, le=10, description="Further tries before the first token; never after it."
    )
    first_token_timeout_s: Seconds = Field(
        30.0, description="Seconds until a model's first token, all retries included."
    )
    inter_token_timeout_s: Seconds = Field(
        30.0, description="Seconds between two tokens; longer is a stall and fails the turn."
    )
    turn_timeout_s: Seconds = Field(300.0, description="Seconds a whole answer may take.")

    _empty_is_no_model = field_validator(
        "openai_api_key", "fallback_api_key", "fallback_model", mode="before"
    )(unset_if_empty)

    @field_validator("openai_base_url", "fallback_base_url", mode="before")
    @classmethod
    def _base_url(cls, value: object) -> object:
        if value in ("", None):
            return None
        if not str(value).startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value

    @field_validator("fallback_base_url", "fallback_api_key", "fallback_model")
    @classmethod
    def _is_second(cls, value: object, info: ValidationInfo) -> object:
        given = info.data
        if value is not None and given.keys() >= {"openai_base_url", "openai_api_key"}:
            if not (given["openai_base_url"] or given["openai_api_key"]):
                raise ValueError("needs a first one: set OPENAI_API_KEY or OPENAI_BASE_URL")
            places = (given.get("fallback_base_url"), given.get("fallback_api_key"))
            if info.field_name == "fallback_model" and not any(places):
                raise ValueError("needs FALLBACK_BASE_URL or FALLBACK_API_KEY beside it")
        return value

    @property
    def is_offline(self) -> bool:
        """Whether answers come from the offline model."""
        return self.openai_api_key is None and self.openai_base_url is None

    @property
    def has_fallback(self) -> bool:
        """Whether there is a second provider."""
        return self.fallback_base_url is not None or self.fallback_api_key is not None
