"""The page's files: what is vendored is what was recorded, and nothing needs a looser policy."""

import re
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
MODULES = sorted(path for path in WEB.rglob("*.js") if path.parent.name != "vendor")


def test_vendored_libraries_are_the_recorded_ones() -> None:
    row = re.compile(r"^\| `([\w-]+\.(?:js|css))` .* `([0-9a-f]{64})` \|$", re.MULTILINE)
    recorded = row.findall((WEB / "vendor/README.md").read_text())
    found = {
        path.name: path for path in (WEB / "vendor").iterdir() if path.suffix in {".js", ".css"}
    }

    assert sorted(name for name, _ in recorded) == sorted(found)
    for name, digest in recorded:
        assert sha256(found[name].read_bytes()).hexdigest() == digest, name


def test_every_vendored_library_carries_its_licence() -> None:
    names = re.findall(r"`(LICENSE-[\w-]+)`", (WEB / "vendor/README.md").read_text())

    assert len(names) >= 4
    for name in names:
        assert (WEB / "vendor" / name).stat().st_size > 500, name


class _Attributes(HTMLParser):
    """Collects what a strict content security policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.refused += [name for name in named if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in named):
            self.refused.append(f"inline {tag}")
        self.addresses += [named[name] or "" for name in ("src", "href") if name in named]


@pytest.mark.parametrize("name", ["index.html", "admin/index.html", "docs/index.html"])
def test_a_page_has_nothing_inline_and_names_only_files_that_exist(name: str) -> None:
    page = _Attributes()
    page.feed((WEB / name).read_text())

    assert page.refused == []
    assert any(address.endswith("app.js") for address in page.addresses)
    for address in page.addresses:
        if address.startswith("#") or address in {"/admin", "/docs", "/openapi.json"}:
            continue
        assert address.startswith("/assets/"), address
        assert (WEB / address.removeprefix("/assets/")).is_file(), address


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(WEB)))
def test_a_module_imports_only_files_that_exist_and_stays_small(module: Path) -> None:
    source = module.read_text()
    imported = re.findall(r"""(?:from|import\()\s*["']([^"']+)["']""", source)

    assert len(source.splitlines()) <= 400
    for name in imported:
        assert name.startswith("."), name
        assert (module.parent / name).resolve().is_file(), name


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(WEB)))
def test_no_module_parses_html_or_code_from_strings(module: Path) -> None:
    # Only DOMPurify turns a string into elements, in markdown.js.
    source = module.read_text()
    forbidden = r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function)"

    assert re.findall(forbidden, source) == []
