"""Settings kept in files, one each: what containers and systemd hand secrets over as."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource

from server.settings.kinds import unset_if_empty


class FileSettings(BaseSettings):
    """Where such files are, and that they are read."""

    secrets_dir: Path | None = Field(
        None,
        description="Folder of files, each named as a setting and holding its value: `jwt_secret`."
        " The environment and `.env` come first.",
    )

    _empty_is_no_folder = field_validator("secrets_dir", mode="before")(unset_if_empty)

    @field_validator("secrets_dir")
    @classmethod
    def _is_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("must be a folder that this user may look into")
        return value

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917  # as it is called
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from, the first that has one counts."""
        before = (init_settings, env_settings, dotenv_settings)
        named = (source().get("secrets_dir") for source in before)
        folder = next((Path(each) for each in named if each is not None), None)
        if folder is None or folder == Path() or not folder.is_dir():
            # What is no folder is refused by its field, in a line of its own.
            return (*before, file_secret_settings)
        return (*before, SecretsSettingsSource(settings_cls, secrets_dir=folder))
