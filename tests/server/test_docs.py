"""What the documentation says must hold: settings, links, versions."""

import re
import tomllib
from pathlib import Path

import pytest

from server.settings_page import settings_table
from server.version import VERSION

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_configuration_page_is_the_settings_class() -> None:
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == settings_table()


def test_the_version_is_the_packages_and_has_an_entry_in_the_changelog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == VERSION
    assert f"[{VERSION}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)\s#]+)", page.read_text(encoding="utf-8"))

    missing = [link for link in links if not (page.parent / link).exists()]

    assert missing == []


def test_the_lock_files_hold_hashes_and_no_addresses() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-loadtests.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")

        assert "://" not in text
        pinned = re.findall(r"^[a-z0-9._-]+==.*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
        assert len(pinned) > 20
        assert all("--hash=sha256:" in one for one in pinned)
