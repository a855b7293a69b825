"""The page of all settings: `docs/configuration.md` is made by it."""

from server.settings import Settings
from server.settings.web import WebSettings

_OWN = {**WebSettings.__annotations__, **Settings.__annotations__}


def settings_table() -> str:
    """Return the page of all settings: name, default, meaning."""
    rows = [
        "# Configuration",
        "",
        "Every setting has a default: with none set the whole service runs, embedded. They are",
        "read from the environment or from `.env`. This page is made by",
        "`python -m server settings > docs/configuration.md`.",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    # The service's own first, then those of its parts.
    fields = sorted(Settings.model_fields.items(), key=lambda item: item[0] not in _OWN)
    for name, field in fields:
        rows.append(f"| `{name.upper()}` | {_shown(field.default)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _shown(default: object) -> str:
    if default in (None, ()):
        return ""
    if isinstance(default, tuple):
        return f"`{','.join(f'{each:g}' for each in default)}`"
    return f"`{default}`"
