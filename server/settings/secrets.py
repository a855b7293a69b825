"""What makes a secret weak: production's are not to be guessed, nor found in a sample."""

from pydantic import SecretStr, ValidationInfo

MIN_SECRET_CHARS = 32
MIN_DISTINCT = 8
"""Different characters that a secret has at least: 32 random hex digits have some fourteen."""
REQUIRED = ("jwt_secret", "session_secret", "admin_token")
"""Without these production does not start."""

_SAMPLES = (
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "yoursecret",
    "yourjwtsecret",
    "your256bitsecret",
    "astringsecretatleast256bitslong",
    "supersecret",
    "topsecret",
    "secretkey",
    "password",
    "placeholder",
    "0123456789abcdef",
    "abcdefghijkl",
    "16f8c0ef4a5d391b26034086c628469d",
)
"""Found in samples and guides, ours and others', letters and digits alone."""
_MIN_OWN_CHARS = 12
"""Of a secret, beside samples: what holds one may still have enough of its own."""


def strong(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """Return a secret that can be used, as a validator of the settings.

    Development takes any that is long enough: what is tried out there guards nothing.

    Raises:
        ValueError: it is missing or weak; never with its value.
    """
    is_production = info.data.get("app_env") == "production"
    if value is None:
        if is_production and info.field_name in REQUIRED:
            raise ValueError(
                f"must be set in production, to at least {MIN_SECRET_CHARS} characters, at random"
            )
        return None
    secret = value.get_secret_value()
    if len(secret) < MIN_SECRET_CHARS:
        raise ValueError(f"must have at least {MIN_SECRET_CHARS} characters")
    if is_production:
        _refuse_guessable(secret)
        _refuse_used_twice(secret, info)
    return value


def strong_each(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """Return a comma-separated list of former secrets, each of which can be used.

    Raises:
        ValueError: one is weak.
    """
    for secret in () if value is None else value.get_secret_value().split(","):
        strong(SecretStr(secret.strip()), info)
    return value


def _refuse_guessable(secret: str) -> None:
    if len(set(secret)) < MIN_DISTINCT:
        raise ValueError(f"must have at least {MIN_DISTINCT} different characters")
    plain = "".join(filter(str.isalnum, secret.lower()))
    own = plain
    for sample in _SAMPLES:
        own = own.replace(sample, "")
    if own != plain and len(own) < _MIN_OWN_CHARS:
        raise ValueError("must not be a sample: make one, such as with `openssl rand -hex 32`")


def _refuse_used_twice(secret: str, info: ValidationInfo) -> None:
    """Refuse the operators' token where it signs, too: it travels, signing secrets never do."""
    for name in REQUIRED:
        if "admin_token" not in {name, info.field_name}:
            continue
        other = info.data.get(name)
        if isinstance(other, SecretStr) and other.get_secret_value() == secret:
            raise ValueError(f"must not be the same as {name.upper()}")
