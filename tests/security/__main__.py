"""`python -m tests.security`: write the table of attacks into `docs/security.md`."""

from tests.security.page import PAGE, written

PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
