"""Which credentials and endpoint are taken, and what is said of those that are not."""

import json
from pathlib import Path

import pytest

from streaming.speech.google import access, credentials_fault
from streaming.speech.google.access import AccessError, Endpoint, parse_endpoint, read_credentials

SERVICE_ACCOUNT = {
    "type": "service_account",
    "client_email": "speaker@project.iam.gserviceaccount.com",
    "private_key": "-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----\n",
    "token_uri": "https://oauth2.googleapis.com/token",
}
USER = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run on a machine that is not Google's, in an empty home; return the machine's name file."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(access, "_PRODUCT_NAME_FILE", tmp_path / "product_name")
    return tmp_path / "product_name"


def a_file(folder: Path, content: object) -> Path:
    path = folder / "credentials.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    "content",
    [
        SERVICE_ACCOUNT,
        USER,
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"file": "/var/run/token"},
        },
        {
            "type": "impersonated_service_account",
            "source_credentials": USER,
            "service_account_impersonation_url": "https://iamcredentials.googleapis.com/x",
        },
    ],
)
def test_every_kind_of_credentials_is_taken(tmp_path: Path, content: dict[str, object]) -> None:
    assert credentials_fault(a_file(tmp_path, content), None) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "is not JSON"),
        ("[]", "holds no Google credentials"),
        ({"type": "other"}, "holds no Google credentials"),
        ({"type": ["service_account"]}, "holds no Google credentials"),
        (SERVICE_ACCOUNT | {"private_key": ""}, "lacks private_key"),
        ({"type": "authorized_user"}, "lacks client_id, client_secret, refresh_token"),
        (SERVICE_ACCOUNT | {"private_key": "secret"}, "is not PEM"),
        (" " * (1 << 20) + "{}", "too large"),
    ],
)
def test_a_bad_file_is_told_in_a_line_without_its_secrets(
    tmp_path: Path, content: object, said: str
) -> None:
    path = a_file(tmp_path, content)

    fault = credentials_fault(path, None)

    assert fault is not None
    assert said in fault
    assert str(path) in fault
    assert "\n" not in fault
    assert "secret" not in fault.replace("client_secret", "")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    missing = credentials_fault(tmp_path / "missing.json", None)
    folder = credentials_fault(tmp_path, None)

    assert missing is not None
    assert "No such file" in missing
    assert folder is not None
    assert "cannot be read" in folder


def test_without_a_file_gclouds_own_is_taken(tmp_path: Path) -> None:
    gcloud = tmp_path / "home" / ".config" / "gcloud"
    gcloud.mkdir(parents=True)
    (gcloud / "application_default_credentials.json").write_text(json.dumps(USER))

    assert credentials_fault(None, None) is None
    assert read_credentials(None).info == USER


def test_on_googles_machines_no_file_is_needed(nowhere: Path) -> None:
    nowhere.write_text("Google Compute Engine\n")

    assert credentials_fault(None, None) is None
    assert not read_credentials(None).info


@pytest.mark.parametrize("product", [None, "VirtualBox\n"])
def test_elsewhere_there_are_no_credentials(nowhere: Path, product: str | None) -> None:
    if product:
        nowhere.write_text(product)

    fault = credentials_fault(None, None)

    assert fault is not None
    assert "no Google credentials" in fault


def test_a_plaintext_endpoint_needs_no_credentials() -> None:
    assert credentials_fault(None, "http://127.0.0.1:9200") is None


@pytest.mark.parametrize(
    ("endpoint", "address", "is_plaintext"),
    [
        (None, "texttospeech.googleapis.com:443", False),
        ("", "texttospeech.googleapis.com:443", False),
        ("https://eu-texttospeech.googleapis.com", "eu-texttospeech.googleapis.com:443", False),
        ("eu-texttospeech.googleapis.com/", "eu-texttospeech.googleapis.com:443", False),
        ("speech.internal:8443", "speech.internal:8443", False),
        ("http://localhost:9200", "localhost:9200", True),
        ("http://localhost", "localhost:80", True),
        ("http://[::1]:9200", "[::1]:9200", True),
    ],
)
def test_an_endpoint_says_where_and_how(
    endpoint: str | None, address: str, is_plaintext: bool
) -> None:
    assert parse_endpoint(endpoint) == Endpoint(address, is_plaintext)


@pytest.mark.parametrize(
    "endpoint",
    [
        "ftp://speech.internal",
        "https://",
        "https://speech.internal/v1",
        "https://speech.internal?key=1",
        "https://someone@speech.internal",
        "speech.internal:port",
        "speech internal",
        "http://[::1",
    ],
)
def test_any_other_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(AccessError, match="endpoint"):
        parse_endpoint(endpoint)

    fault = credentials_fault(None, endpoint)
    assert fault is not None
    assert "endpoint" in fault


def test_a_user_without_a_home_has_no_file_of_gclouds(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose user has neither a name nor `HOME`."""

    def no_such_user(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", no_such_user)

    assert not nowhere.exists()
    assert "no Google credentials" in str(credentials_fault(None, None))
