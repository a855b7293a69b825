"""One form for each address: it is what is stored, compared and searched."""

import unicodedata

from accounts.codec import MAX_EMAIL_CHARS

MAX_LOCAL_CHARS = 64
"""RFC 5321, section 4.5.3.1.1."""


class EmailInvalidError(ValueError):
    """It is no address; the message says what is wrong, and does not repeat it."""


def normal_email(given: str) -> str:
    """Return an address as it is stored: NFC, trimmed, in lower case.

    The part before the @ is in lower case, too: no provider of note tells `Ann@` from `ann@`, and
    people do not. What an address may hold beyond that is its provider's business.

    Raises:
        EmailInvalidError: it is too long, or holds what no address holds.
    """
    if len(given) > 2 * MAX_EMAIL_CHARS:  # before work that grows with it
        raise EmailInvalidError(f"It has more than {MAX_EMAIL_CHARS} characters.")
    email = unicodedata.normalize("NFC", unicodedata.normalize("NFC", given.strip()).lower())
    if len(email) > MAX_EMAIL_CHARS:
        raise EmailInvalidError(f"It has more than {MAX_EMAIL_CHARS} characters.")
    # isprintable: no controls, no marks of direction, no lone surrogates, no space but the plain.
    if not email.isprintable() or " " in email:
        raise EmailInvalidError("It holds a space or a character that cannot be seen.")
    local, at, domain = email.partition("@")
    if not at or "@" in domain:
        raise EmailInvalidError("An address has one @.")
    if not local or len(local) > MAX_LOCAL_CHARS:
        raise EmailInvalidError(f"Before the @ there are 1 to {MAX_LOCAL_CHARS} characters.")
    if not all(domain.split(".")):
        raise EmailInvalidError("After the @ there is a host name, such as example.com.")
    return email
