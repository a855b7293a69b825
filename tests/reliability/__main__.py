"""`python -m tests.reliability`: write the table of faults into `docs/reliability.md`."""

from tests.reliability.page import PAGE, written

PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
