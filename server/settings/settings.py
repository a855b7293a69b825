"""Every setting: the only place where the environment is read.

With no variable set the whole service runs, embedded. `docs/configuration.md` is generated from
this class (`python -m server settings`).
"""

import sys
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict, SettingsError

from server.limits.addresses import networks
from server.settings.accounts import AccountSettings
from server.settings.alerts import AlertSettings
from server.settings.files import FileSettings
from server.settings.kinds import Hosts, Seconds, lower, split, unset_if_empty
from server.settings.limits import LimitSettings
from server.settings.models import ModelSettings
from server.settings.moderation import ModerationSettings
from server.settings.oidc import OidcSettings
from server.settings.rollout import RolloutSettings
from server.settings.secrets import strong
from server.settings.speech import SpeechSettings
from server.settings.telemetry import TelemetrySettings
from server.settings.web import WebSettings

EX_CONFIG = 78
"""Exit status for a setting that cannot be used (sysexits.h)."""
RESTORE_PROGRESS = "restore-progress.json"
"""In DATA_DIR while a restore is under way, or broke off: what is stored is no whole then."""


class Settings(
    TelemetrySettings,
    AlertSettings,
    RolloutSettings,
    SpeechSettings,
    ModerationSettings,
    LimitSettings,
    OidcSettings,
    AccountSettings,
    ModelSettings,
    WebSettings,
    FileSettings,
):
    """The service's settings: environment, `.env`, SECRETS_DIR; unknown names are ignored."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path("data"),
        description="Folder of the embedded stores and of secrets made at first start.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="`json` for machines, `console` for people."
    )

    mongodb_uri: SecretStr | None = Field(
        None, description="History in MongoDB; unset: the SQLite file `DATA_DIR/chat.db`."
    )
    history_timeout_s: Seconds = Field(
        2.0, description="Seconds a call to the history may take; then the answer is 503."
    )

    redis_url: SecretStr | None = Field(
        None,
        description="Redis for what processes share: turns, flags; unset: one process, DATA_DIR.",
    )
    cache_redis_url: SecretStr | None = Field(
        None,
        description="Redis for audio, beside the other one, with `allkeys-lru`; unset: REDIS_URL.",
    )
    max_takeovers: int = Field(
        2, ge=0, le=100, description="Times a turn goes on after a lost worker, or a broken model."
    )
    takeover_max_age_s: Seconds = Field(
        900.0, description="Seconds after its start in which a turn may still be taken over."
    )
    redis_timeout_s: Seconds = Field(
        1.0, description="Seconds a call to Redis may take; then it counts as lost."
    )

    session_secret: SecretStr | None = Field(
        None,
        validate_default=True,
        description="Signs guest cookies; at least 32 characters. In development one is made and"
        " kept in DATA_DIR.",
    )
    admin_token: SecretStr | None = Field(
        None,
        validate_default=True,
        description="Bearer token of operators' scripts; at least 32 characters. In development"
        " one is made and kept in `DATA_DIR/admin-token`.",
    )
    allow_guests: bool | None = Field(
        None,
        description="Let callers without credentials in as guests; unset: yes in development, no"
        " in production.",
    )
    trusted_proxies: Hosts = Field(
        (),
        description="Comma-separated addresses and networks whose X-Forwarded-For and"
        " X-Forwarded-Proto are believed; no other header tells a caller's address.",
    )

    max_response_chars: int = Field(
        2000, ge=1, le=1_000_000, description="Longest answer, in code points; cut at a sentence."
    )
    max_message_chars: int = Field(
        8000, ge=1, le=1_000_000, description="Longest message of a user, in code points."
    )
    max_context_chars: int = Field(
        24_000,
        ge=100,
        le=10_000_000,
        description="History sent to the model; oldest dropped first.",
    )
    max_body_bytes: int = Field(
        262_144, ge=1024, le=100_000_000, description="Longest request body; more is 413."
    )
    max_live_turns: int = Field(
        2000, ge=1, description="Turns that run at once in this process; more are 503."
    )
    max_readers: int = Field(
        12_000, ge=1, description="Event streams open at once in this process; more get `bye`."
    )
    default_streaming_percentage: float | None = Field(
        None,
        ge=0,
        le=100,
        description="Share of users whose answers are streamed, when the flag `streaming` is first"
        " made; unset: 100 in development, 1 in production.",
    )
    flags_bootstrap_file: Path | None = Field(
        None,
        description="Flags to begin with where neither the store nor a snapshot has any; as"
        " `python -m flags export` writes them.",
    )
    killed_flags: Hosts = Field(
        (),
        description="Comma-separated flags that are killed in this process whatever the store"
        " says; `*`: all. A file `DATA_DIR/killed-flags`, one a line, does the same at any time.",
    )

    heartbeat_s: Seconds = Field(
        10.0, description="Seconds without an event before a heartbeat; pages count on 10."
    )
    send_timeout_s: Seconds = Field(
        10.0,
        description="Seconds a reader may block a write before it is cut off; one that acknowledges"
        " nothing (Linux) has 10 s more.",
    )
    drain_timeout_s: Seconds = Field(
        30.0, description="Seconds that running turns get to finish after SIGTERM."
    )
    abandon_after_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Seconds without a reader before a turn is cancelled; 0: never.",
    )
    replay_window_s: Seconds = Field(
        3600.0, description="Seconds that an ended turn's log can be replayed."
    )
    replay_max_bytes: int = Field(
        67_108_864, ge=0, description="Memory for ended turns' logs; the oldest go first."
    )

    _any_case = field_validator("log_level", "log_format", mode="before")(lower)

    _split = field_validator("trusted_proxies", "killed_flags", mode="before")(split)

    @field_validator("trusted_proxies")
    @classmethod
    def _exact_proxies(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        found = networks(each for each in value if each != "*")
        is_anybody = "*" in value or any(each.prefixlen == 0 for each in found)
        if is_anybody and info.data.get("app_env") == "production":
            raise ValueError("must name your proxies in production: whoever is believed may lie")
        if "*" in value and len(value) > 1:
            raise ValueError("takes * alone, or addresses and networks")
        return value

    @field_validator("default_streaming_percentage")
    @classmethod
    def _whole_steps(cls, value: float | None) -> float | None:
        if value is not None and value != round(value, 3):
            raise ValueError("takes at most 3 decimals")
        return value

    _empty_is_unset = field_validator(
        "session_secret",
        "admin_token",
        "mongodb_uri",
        "redis_url",
        "cache_redis_url",
        "flags_bootstrap_file",
        mode="before",
    )(unset_if_empty)

    _strong = field_validator("session_secret", "admin_token")(strong)

    @property
    def guests_allowed(self) -> bool:
        """Whether callers without credentials are let in."""
        return self.app_env == "development" if self.allow_guests is None else self.allow_guests

    @property
    def streaming_percentage(self) -> float:
        """Share of users whose answers are streamed, when the flag is first made."""
        if self.default_streaming_percentage is not None:
            return self.default_streaming_percentage
        return 100.0 if self.app_env == "development" else 1.0


def load_settings() -> Settings:
    """Return the settings, or print one line per fault and exit with status 78."""
    try:
        return Settings()
    except ValidationError as error:
        for line in fault_lines(error):
            print(line, file=sys.stderr)  # noqa: T201  # before logging is set up
        raise SystemExit(EX_CONFIG) from None
    except SettingsError as error:
        line = f"{error}: {error.__cause__}; let this user read it, as text."
        print(line, file=sys.stderr)  # noqa: T201  # as above
        raise SystemExit(EX_CONFIG) from None


def fault_lines(error: ValidationError) -> list[str]:
    """Return one clear line per fault; never the value of a secret."""
    lines: list[str] = []
    for found in error.errors(include_url=False):
        message = found["msg"].removeprefix("Value error, ")
        name = str(found["loc"][0])
        given = found.get("input")
        got = "" if given in (None, ()) or _is_secret(name) else f" (got {given!r})"
        lines.append(f"{name.upper()}{got}: {message}.".replace("..", "."))
    return lines


def _is_secret(name: str) -> bool:
    field = Settings.model_fields.get(name)
    return field is None or SecretStr in {field.annotation, *get_args(field.annotation)}
