"""What production refuses to start with: weak secrets, loose names, other sites by pattern."""

import pytest
from pydantic import ValidationError

from server.settings import Settings, fault_lines
from tests.support.production import PRODUCTION

SECRETS = ["jwt_secret", "session_secret", "admin_token"]
GOOD = "d41c7f90b6e25a38-made-up-for-tests-again"


def faults_of(**values: object) -> list[str]:
    """Return the lines that a start in production with these settings ends with."""
    try:
        Settings(_env_file=None, **{**PRODUCTION, **values})  # type: ignore[arg-type]  # by name
    except ValidationError as error:
        return fault_lines(error)
    return []


def test_production_starts_with_random_secrets_and_exact_names() -> None:
    assert faults_of(allowed_origins="https://friend.example:8443,https://[::1]") == []


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "secret",
    [
        "short",
        "x" * 64,
        "0101010101010101010101010101010101010101",
        "change-me-change-me-change-me-change-me",
        "your-256-bit-secret-your-256-bit-secret",
        "a-string-secret-at-least-256-bits-long",
        "0123456789abcdef0123456789ABCDEF",
    ],
)
def test_a_secret_that_can_be_guessed_is_one_line_without_it(name: str, secret: str) -> None:
    lines = faults_of(**{name: secret})

    assert [line.partition(":")[0] for line in lines] == [name.upper()]
    assert secret not in lines[0]


def test_the_operators_token_signs_nothing() -> None:
    for other in ("jwt_secret", "session_secret"):
        lines = faults_of(admin_token=PRODUCTION[other])

        assert lines == [f"ADMIN_TOKEN: must not be the same as {other.upper()}."]


def test_a_secret_that_holds_a_samples_word_may_have_enough_of_its_own() -> None:
    assert faults_of(jwt_secret="the-secret-key-of-our-own-chat-0815-4711") == []  # noqa: S106


def test_former_secrets_have_to_be_as_good() -> None:
    assert faults_of(jwt_previous_secrets=f"{GOOD},{GOOD}x") == []
    assert len(faults_of(jwt_previous_secrets=f"{GOOD},short")) == 1
    assert len(faults_of(session_previous_secrets=f"{GOOD},")) == 1


@pytest.mark.parametrize(
    "names", ["*", "*.example.com", "https://chat.example.com", "chat.example.com:443", "a b"]
)
def test_a_name_to_be_called_by_is_exact(names: str) -> None:
    assert [line.split()[0].rstrip(":") for line in faults_of(allowed_hosts=names)] == [
        "ALLOWED_HOSTS"
    ]


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "https://*.example.com",
        "https://example.com/",
        "https://example.com.",
        "https://EXAMPLE.com",
        "https://user@example.com",
        "https://example.com:443x",
        "https://.*example.com",
        "http://example.com",
        "//example.com",
        "https://",
        "https://[",
    ],
)
def test_an_origin_is_exact_and_encrypted(origin: str) -> None:
    assert len(faults_of(allowed_origins=f"https://friend.example,{origin}")) == 1
