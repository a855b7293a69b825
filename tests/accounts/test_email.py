"""The one form of an address."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.email import EmailInvalidError, normal_email


@pytest.mark.parametrize(
    ("given_email", "normal"),
    [
        ("ann@example.com", "ann@example.com"),
        ("  Ann.B+chat@Example.COM\r\n", "ann.b+chat@example.com"),
        (unicodedata.normalize("NFD", "GRÖSSE@bücher.example"), "grösse@bücher.example"),
        ("o'brien@localhost", "o'brien@localhost"),
        ("用户@例子.广告", "用户@例子.广告"),
        ("a" * 64 + "@" + "b" * 185 + ".com", "a" * 64 + "@" + "b" * 185 + ".com"),
    ],
)
def test_an_address_has_one_form(given_email: str, normal: str) -> None:
    assert normal_email(given_email) == normal


@pytest.mark.parametrize(
    ("given_email", "why"),
    [
        ("", "one @"),
        ("ann", "one @"),
        ("ann@home@example.com", "one @"),
        ("@example.com", "Before the @"),
        ("a" * 65 + "@example.com", "Before the @"),
        ("ann@", "host name"),
        ("ann@example..com", "host name"),
        ("ann@.example.com", "host name"),
        ("ann@example.com.", "host name"),
        ("ann b@example.com", "space"),
        ("ann\x00@example.com", "cannot be seen"),
        ("ann\n@example.com", "cannot be seen"),
        ("ann\u202e@example.com", "cannot be seen"),
        ("ann\u200b@example.com", "cannot be seen"),
        ("ann\u00a0b@example.com", "cannot be seen"),
        ("ann\ud800@example.com", "cannot be seen"),
        ("a" * 64 + "@" + "b" * 186 + ".com", "254"),
        ("a@" + "b" * 1_000_000, "254"),
    ],
)
def test_what_is_no_address_is_told_without_being_repeated(given_email: str, why: str) -> None:
    with pytest.raises(EmailInvalidError, match=why) as refused:
        normal_email(given_email)

    assert given_email == "" or given_email not in str(refused.value)


@given(
    st.text(
        alphabet=st.sampled_from("aÄß\u0131\u0130\u017f\u212a@. +é\u0301\x00\ud800"), max_size=12
    )
)
def test_the_form_of_a_form_is_itself(given_email: str) -> None:
    try:
        normal = normal_email(given_email)
    except EmailInvalidError:
        return

    assert normal_email(normal) == normal


def test_a_megabyte_costs_nothing() -> None:
    began_at = time.process_time()
    for hostile in ("@" * 1_000_000, "a." * 500_000 + "@", "\u0301" * 1_000_000):
        with pytest.raises(EmailInvalidError):
            normal_email(hostile)

    assert time.process_time() - began_at < 0.5
