"""Who speaks answers, and how."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from server.settings.kinds import Seconds, lower, unset_if_empty


class SpeechSettings(BaseSettings):
    """Settings of the spoken answer."""

    tts_engine: Literal["auto", "google", "espeak", "off"] = Field(
        "auto",
        description="Who speaks answers. `auto`: Google where its credentials are valid, else"
        " eSpeak NG where it is installed, else nobody.",
    )
    google_cloud_credentials: Path | None = Field(
        None, description="Service account file for Google Cloud Text-to-Speech."
    )
    google_application_credentials: Path | None = Field(
        None, description="The same, by Google's own name."
    )
    google_tts_endpoint: str | None = Field(
        None,
        description="Another endpoint of it, such as `eu-texttospeech.googleapis.com`; `http://…`"
        " means plaintext and anonymous, for tests.",
    )
    google_tts_encoding: Literal["ogg_opus", "mp3"] = Field(
        "ogg_opus", description="Audio format asked of Google; browsers without Ogg need `mp3`."
    )
    google_tts_streaming: bool = Field(
        False, description="Use Google's streaming call for voices that have it (Chirp 3: HD)."
    )
    tts_voice: str = Field(
        "", max_length=100, description="Voice where a chatbot or request names none; empty: any."
    )
    tts_rate: float = Field(1.0, ge=0.25, le=2.0, description="Speed of speech; 1 is normal.")
    tts_max_parallel: int = Field(
        16, ge=1, le=1000, description="Calls of speech engines at once in this process."
    )
    tts_timeout_s: Seconds = Field(
        10.0, description="Seconds one unit of speech may take, all tries included."
    )
    tts_first_timeout_s: Seconds = Field(
        5.0, description="The same for an answer's first unit, which somebody waits for."
    )
    tts_cache_ttl_s: Seconds = Field(3600.0, description="Seconds that audio is kept.")
    tts_cache_max_bytes: int = Field(
        67_108_864,
        ge=0,
        description="Memory for audio, least recently used first out; 0: by `url` only.",
    )
    speech_timeout_s: Seconds = Field(
        60.0,
        description="Seconds after the end of the text until audio that is not out is given up.",
    )
    speech_idle_timeout_s: Seconds = Field(
        30.0, description="Seconds without reader or playback report until it is given up."
    )

    _any_case_of_speech = field_validator("tts_engine", "google_tts_encoding", mode="before")(lower)
    _empty_is_no_engine = field_validator(
        "google_cloud_credentials",
        "google_application_credentials",
        "google_tts_endpoint",
        mode="before",
    )(unset_if_empty)

    @property
    def google_credentials(self) -> Path | None:
        """The service account file, by whichever name it was given."""
        return self.google_cloud_credentials or self.google_application_credentials
