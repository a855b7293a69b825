"""Nothing that lets somebody in is logged, and one event is one line."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from server.observability import configure_logging
from server.settings import Settings

KEY = "sk-canary-of-the-provider"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
FORGED = "x\n2026-01-01T00:00:00Z [error    ] server.forged\r\x1b[31m\u2028\u202eend"


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Put back what logging was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(form: str, **fields: object) -> str:
    """Return what a server of this form logs of an event with these fields."""
    settings = Settings(
        _env_file=None,
        log_format=form,
        openai_api_key=KEY,
        mongodb_uri="mongodb://user:canary%2Fword@host/db",
    )
    configure_logging(settings)
    formatter = logging.getLogger().handlers[0].formatter
    record = logging.LogRecord("server", logging.INFO, "", 0, {"event": "e", **fields}, None, None)
    record.__dict__.update(_logger=structlog.get_logger(), _name="info")
    assert formatter is not None
    return formatter.format(record)


@pytest.mark.usefixtures("logging_as_it_was")
@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize(
    "fields",
    [
        {"text": f"it said {KEY} twice: {KEY}"},
        {"exception": f"Traceback\n  Error: {KEY}"},
        {"reason": RuntimeError(KEY)},
        {"nested": {"headers": [("x-api-key", KEY)]}},
        {"password": "canary-password"},
        {"headers": {"Authorization": "Basic canary"}},
        {"text": f"token {JWT} refused"},
        {"text": "Authorization: Bearer canary-canary"},
        {"text": "ck_0123456789ab_canarycanarycanarycanarycanarycanarycanarycan"},
        {"text": "rt_canarycanarycanarycanary"},
        {"text": "cannot reach redis://:canary@127.0.0.1:1"},
        {"text": "wrong password: canary/word"},
        {"deep": [[[[[[[[KEY]]]]]]]]},
    ],
    ids=str,
)
def test_no_secret_comes_through(form: str, fields: dict[str, object]) -> None:
    line = logged(form, **fields)

    assert "canary" not in line
    assert "eyJ" not in line
    assert "[hidden]" in line


@pytest.mark.usefixtures("logging_as_it_was")
@pytest.mark.parametrize("form", ["console", "json"])
def test_what_is_no_secret_is_left_as_it_is(form: str) -> None:
    line = logged(form, turn_id="turn_1", route="/api/v1/turns/{turn_id}", seconds=0.5, ok=True)

    assert "turn_1" in line
    assert "/api/v1/turns/{turn_id}" in line
    assert "hidden" not in line


@pytest.mark.usefixtures("logging_as_it_was")
@pytest.mark.parametrize("name", ["path", "event", "nested"])
def test_an_event_is_one_line_whatever_it_tells(name: str) -> None:
    value: object = {"in": [FORGED]} if name == "nested" else FORGED
    console, machine = logged("console", **{name: value}), logged("json", **{name: value})

    assert len(console.splitlines()) == len(machine.splitlines()) == 1
    assert not {"\x1b", "\r", "\u202e"} & set(console + machine)
    assert json.loads(machine)[name] == value


@pytest.mark.usefixtures("logging_as_it_was")
def test_a_stack_keeps_its_lines_and_none_of_them_looks_like_an_event() -> None:
    shown = logged("console", exception=f"Traceback\n  Error: {FORGED}")

    assert "Traceback" in shown
    assert "\x1b" not in shown
    assert all(line.startswith("    ") for line in shown.splitlines()[2:])
