"""How much a caller may ask for."""

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings

from server.limits.addresses import networks
from server.limits.base import Rate
from server.limits.tiers import Tier
from server.settings.kinds import Hosts, split


def _is_rate(value: str) -> str:
    Rate.parse(value)
    return value


RateText = Annotated[str, AfterValidator(_is_rate)]


class LimitSettings(BaseSettings):
    """Settings of the limits. Of each limit, 0 takes it away."""

    rate_limit_enabled: bool = Field(
        True,
        description="Count calls, turns, readers, tokens and speech, and refuse those over a limit;"
        " off only behind another.",
    )
    rate_limit_api: RateText = Field(
        "300/900", description="Calls of one user or guest, of any kind that has no limit below."
    )
    rate_limit_auth: RateText = Field(
        "10/900", description="Sign-ins of one address, and to one account."
    )
    rate_limit_messages: RateText = Field("60/60", description="Turns that one starts.")
    rate_limit_attach: RateText = Field(
        "120/60", description="Event streams that one opens; more are told `bye`, and when to come."
    )
    rate_limit_speech: RateText = Field("30/60", description="Texts that one has spoken.")
    rate_limit_signals: RateText = Field(
        "600/60", description="What a page tells and fetches by itself: playback, audio, beacons."
    )
    rate_limit_address_factor: int = Field(
        10,
        ge=0,
        le=1000,
        description="How many times a guest's limits the guests of one address have together; 0:"
        " any number.",
    )
    rate_limit_allow: Hosts = Field(
        (), description="Comma-separated addresses and networks whose calls are not counted."
    )
    live_turns_per_user: int = Field(
        5, ge=0, le=10_000, description="Turns of one user or guest that run at once."
    )
    readers_per_turn: int = Field(
        20, ge=0, le=100_000, description="Event streams of one turn open at once."
    )
    readers_per_user: int = Field(
        100, ge=0, le=100_000, description="Event streams of one user or guest open at once."
    )
    tokens_per_user_per_day: int = Field(
        500_000,
        ge=0,
        le=10**12,
        description="Tokens that a user's turns read and write in a day (UTC).",
    )
    guest_tokens_per_day: int = Field(100_000, ge=0, le=10**12, description="The same of a guest.")
    speech_seconds_per_day: int = Field(
        3600,
        ge=0,
        le=10**9,
        description="Seconds of audio that are made for a user or guest in a day (UTC).",
    )

    _split_allowed = field_validator("rate_limit_allow", mode="before")(split)

    @field_validator("rate_limit_allow")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks(value)
        return value

    @property
    def rates(self) -> dict[Tier, Rate]:
        """How often one may call, by tier."""
        return {
            Tier.API: Rate.parse(self.rate_limit_api),
            Tier.AUTH: Rate.parse(self.rate_limit_auth),
            Tier.MESSAGES: Rate.parse(self.rate_limit_messages),
            Tier.ATTACH: Rate.parse(self.rate_limit_attach),
            Tier.SPEECH: Rate.parse(self.rate_limit_speech),
            Tier.SIGNALS: Rate.parse(self.rate_limit_signals),
        }
